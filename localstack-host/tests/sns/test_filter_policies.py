"""Filter policies of subscriptions: what they accept and refuse, and what cannot be delivered."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import ROLE, Instance, depth, received, unique, wait_until

Attributes = dict[str, dict[str, Any]]


def subscribe(localstack: Instance, topic: str, policy: Any = None, **attributes: str) -> str:
    """URL of a queue that gets what the policy accepts, as it is."""
    url, arn = localstack.create_queue()
    attributes = {"RawMessageDelivery": "true"} | attributes
    if policy is not None:
        attributes["FilterPolicy"] = json.dumps(policy)
    localstack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    return url


def create_topic(localstack: Instance) -> str:
    found: str = localstack.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    return found


def text(value: str, kind: str = "String") -> dict[str, Any]:
    return {"DataType": kind, "StringValue": value}


def messages(localstack: Instance, url: str, count: int) -> list[str]:
    return sorted(message["Body"] for message in received(localstack, url, count))


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    "alternative",
    [
        {"prefix": "a"},
        {"suffix": "a"},
        {"equals-ignore-case": "a"},
        {"cidr": "10.0.0.0/8"},
        {"numeric": [">", 5]},
        "a",
    ],
    ids=json.dumps,
)
def test_a_value_of_another_type_is_no_match_and_everybody_else_is_served(
    localstack: Instance, alternative: Any
) -> None:
    """ "A subscription accepts a message" by its own policy alone
    (https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html); none of these operators is for
    the type that the message has (https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html)."""
    sns, topic = localstack.client("sns"), create_topic(localstack)
    filtered = subscribe(localstack, topic, {"sku": [alternative]}, FilterPolicyScope="MessageBody")
    everything = subscribe(localstack, topic)
    values = [5, True, None, {"a": 1}, [5], []]
    bodies = sorted(json.dumps({"sku": value}) for value in values)

    for body in bodies[:3]:
        sns.publish(TopicArn=topic, Message=body)
    entries = [{"Id": str(number), "Message": body} for number, body in enumerate(bodies[3:])]
    answer = sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    assert len(answer["Successful"]) == 3
    assert messages(localstack, everything, 6) == bodies
    assert depth(localstack, filtered) == 0


@pytest.mark.parametrize(
    ("policy", "accepted", "others"),
    [
        (
            {"sku": [{"anything-but": {"prefix": "a"}}]},
            [{"sku": "b"}, {"sku": 5}, {"sku": None}],
            [{"sku": "ab"}, {"other": 1}],
        ),
        (
            {"price": [{"anything-but": [100, 500]}]},
            [{"price": 101}, {"price": 100.1}, {"price": [100, 50]}, {"price": "100"}],
            [{"price": 100}, {"price": 1e2}],
        ),
        ({"flag": [True]}, [{"flag": True}], [{"flag": 1}, {"flag": "true"}]),
        (
            {"items": {"sku": ["a"], "size": [2]}},
            [{"items": [{"sku": "b"}, {"sku": "a", "size": 2}]}],
            [{"items": [{"sku": "a", "size": 1}, {"sku": "b", "size": 2}]}],
        ),
        ({"a.b": ["x"]}, [{"a": {"b": "x"}}, {"a.b": "x"}], [{"a": {"b": "y"}}]),
        ({"a": [{"exists": False}]}, [{"b": 1}, {"a": {"b": 1}}], [{"a": 1}, [], "a", 5]),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_policy_for_bodies(localstack: Instance, policy: Any, accepted: list[Any], others: list[Any]) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/numeric-value-matching.html,
    https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html."""
    topic = create_topic(localstack)
    filtered = subscribe(localstack, topic, policy, FilterPolicyScope="MessageBody")
    everything = subscribe(localstack, topic)
    bodies = [json.dumps(body) for body in [*others, *accepted]]

    for body in bodies:
        localstack.client("sns").publish(TopicArn=topic, Message=body)

    assert messages(localstack, everything, len(bodies)) == sorted(bodies)
    assert messages(localstack, filtered, len(accepted)) == sorted(json.dumps(body) for body in accepted)
    assert depth(localstack, filtered) == 0


@pytest.mark.parametrize(
    ("alternatives", "accepted", "others"),
    [
        (["rugby"], [text("rugby"), text('["rugby", "golf"]', "String.Array")], [text("golf"), text("5", "Number")]),
        ([{"prefix": "ru"}], [text("rugby"), text('["a", "rugby"]', "String.Array")], [text("1", "Number")]),
        ([{"suffix": "by"}], [text("rugby")], [text("[5, true, null]", "String.Array"), text("5", "Number")]),
        ([{"equals-ignore-case": "a"}], [text("A")], [text("5", "Number"), text('[1, ["b"]]', "String.Array")]),
        (
            [{"anything-but": ["a", "b"]}],
            [text("c"), text('["a", "c"]', "String.Array"), text("5", "Number")],
            [text("a"), text('["a", "b"]', "String.Array"), text("not JSON", "String.Array")],
        ),
        ([{"anything-but": {"prefix": "a"}}], [text("b"), text("5", "Number")], [text("ab")]),
        (
            [{"anything-but": [100, 500]}],
            [text("101", "Number"), text("100.1", "Number"), text("[100, 50]", "String.Array"), text("100")],
            [text("100", "Number"), text("1e2", "Number"), text("[100, 500]", "String.Array")],
        ),
        ([5], [text("5", "Number"), text("5.0", "Number"), text("[1, 5]", "String.Array")], [text("5")]),
        (["5"], [text("5")], [text("5", "Number"), text("[5]", "String.Array")]),
        ([{"numeric": ["=", 301.5]}], [text("301.5", "Number"), text("3.015e2", "Number")], [text("301.5")]),
        ([True], [text("[true]", "String.Array")], [text("true"), text("1", "Number")]),
        (
            [{"exists": True}],
            [text("a"), text("0", "Number")],
            [text("[]", "String.Array"), {"DataType": "Binary", "BinaryValue": b"a"}],
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, list) and not str(value).startswith("[{'Data") else "",
)
def test_a_policy_for_attributes(
    localstack: Instance, alternatives: list[Any], accepted: list[Any], others: list[Any]
) -> None:
    """Attributes have types (https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html), and an array is
    accepted for any of its elements (https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html)."""
    topic = create_topic(localstack)
    filtered = subscribe(localstack, topic, {"interest": alternatives})
    everything = subscribe(localstack, topic)
    sent = [*others, *accepted]

    for number, attribute in enumerate(sent):
        localstack.client("sns").publish(
            TopicArn=topic, Message=f"{number:02}", MessageAttributes={"interest": attribute}
        )

    assert messages(localstack, everything, len(sent)) == [f"{number:02}" for number in range(len(sent))]
    expected = [f"{number:02}" for number in range(len(others), len(sent))]
    assert messages(localstack, filtered, len(accepted)) == expected
    assert depth(localstack, filtered) == 0


def test_state_machines_and_buckets_publish_to_all_whom_the_message_concerns(localstack: Instance) -> None:
    """Whoever publishes: sns:publish of Step Functions (https://docs.aws.amazon.com/step-functions/latest/dg/connect-sns.html)
    and S3's notifications (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html)."""
    stepfunctions, s3, topic = localstack.client("stepfunctions"), localstack.client("s3"), create_topic(localstack)
    policies: list[Any] = [{"sku": [{"prefix": "a"}]}, {"Records": {"s3": {"object": {"size": [{"prefix": "a"}]}}}}]
    filtered = [subscribe(localstack, topic, policy, FilterPolicyScope="MessageBody") for policy in policies]
    everything = subscribe(localstack, topic)
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topic, "Message": {"sku": 5}},
        "End": True,
    }
    machine = stepfunctions.create_state_machine(
        name=unique("machine"), roleArn=ROLE, definition=json.dumps({"StartAt": "A", "States": {"A": task}})
    )["stateMachineArn"]
    bucket = unique("bucket")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]},
        SkipDestinationValidation=True,  # no test event
    )

    execution = stepfunctions.start_execution(stateMachineArn=machine)["executionArn"]
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")

    found = [json.loads(body) for body in messages(localstack, everything, 2)]
    assert {"sku": 5} in found
    assert [body["Records"][0]["s3"]["object"]["key"] for body in found if "Records" in body] == ["key"]
    wait_until(lambda: stepfunctions.describe_execution(executionArn=execution)["status"] == "SUCCEEDED")
    assert [depth(localstack, url) for url in filtered] == [0, 0]


REASON = "Invalid parameter: Attributes Reason: FilterPolicy: "


@pytest.mark.parametrize(
    ("policy", "scope", "expected"),
    [
        (
            {"key": [["value"]]},
            "MessageAttributes",
            REASON + "Match value must be String, number, true, false, or null",
        ),
        ({"key": [{"wrong-operator": True}]}, "MessageAttributes", REASON + "Unrecognized match type wrong-operator"),
        ({"key": [{"wildcard": "a*"}]}, "MessageBody", REASON + "Unrecognized match type wildcard"),
        ({"key": [{"suffix": "a", "prefix": "b"}]}, "MessageBody", REASON + "Only one key allowed in match expression"),
        (
            {"key": [{"anything-but": ["a", 1]}]},
            "MessageBody",
            REASON + "Inside anything but list, either all values are number or string, mixed type is not supported",
        ),
        ({"key": {"suffix": "value"}}, "MessageAttributes", REASON + '"suffix" must be an object or an array'),
        ({"$or": [{"a": ["x"]}, 5]}, "MessageBody", REASON + "Unrecognized match type a"),
        (["a"], "MessageBody", REASON + "Filter is not an object"),
        (
            {"a": {"b": ["c"]}},
            "MessageAttributes",
            "Invalid parameter: Attributes Reason: Filter policy scope MessageAttributes does not support nested "
            "filter policy",
        ),
        (
            {str(number): ["a"] for number in range(6)},
            "MessageBody",
            REASON + "Filter policy can not have more than 5 keys",
        ),
        ({"a": list(range(151))}, "MessageAttributes", REASON + "Filter policy is too complex"),
        ({"a": {"b": list(range(76))}}, "MessageBody", REASON + "Filter policy is too complex"),
        (
            {"$or": [{"a": list(range(75))}, {"b": list(range(76))}]},
            "MessageBody",
            REASON + "Filter policy is too complex",
        ),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_a_policy_that_is_not_valid_is_refused(localstack: Instance, policy: Any, scope: str, expected: str) -> None:
    """InvalidParameter, as recorded: TestSNSFilterPolicyConditions; the limits are those of
    https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html."""
    sns, topic = localstack.client("sns"), create_topic(localstack)
    _, arn = localstack.create_queue()
    attributes = {"FilterPolicy": json.dumps(policy), "FilterPolicyScope": scope}

    found = refusal(sns.subscribe, TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)

    assert found == ("InvalidParameter", expected)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_a_policy_that_is_changed_to_one_that_is_not_valid_stays(localstack: Instance) -> None:
    """SetSubscriptionAttributes has its own prefix, as recorded: test_sub_filter_policy_nested_property_constraints."""
    sns, topic = localstack.client("sns"), create_topic(localstack)
    url = subscribe(localstack, topic, {"a": ["x"]})
    subscription = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]

    found = refusal(
        sns.set_subscription_attributes,
        SubscriptionArn=subscription,
        AttributeName="FilterPolicy",
        AttributeValue='{"key_a": "value_one"}',
    )

    assert found == ("InvalidParameter", 'Invalid parameter: FilterPolicy: "key_a" must be an object or an array')
    sns.publish(TopicArn=topic, Message="no", MessageAttributes={"a": text("y")})
    sns.publish(TopicArn=topic, Message="yes", MessageAttributes={"a": text("x")})
    assert messages(localstack, url, 1) == ["yes"]


def numbered(count: int) -> Attributes:
    return {f"a{number}": text("x") for number in range(count)}


def test_a_raw_message_with_eleven_attributes_is_a_client_side_error(localstack: Instance) -> None:
    """ "You can have up to 10 message attributes" with raw delivery; more are "discarded as client-side errors"
    (https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html)."""
    sns, topic = localstack.client("sns"), create_topic(localstack)
    dead_url, dead = localstack.create_queue()
    raw = subscribe(localstack, topic, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead}))
    wrapped = subscribe(localstack, topic, RawMessageDelivery="false")

    sns.publish(TopicArn=topic, Message="eleven", MessageAttributes=numbered(11))
    entries = [
        {"Id": "1", "Message": "ten", "MessageAttributes": numbered(10)},
        {"Id": "2", "Message": "eleven", "MessageAttributes": numbered(11)},
        {"Id": "3", "Message": "none"},
    ]
    assert len(sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)["Successful"]) == 3

    assert messages(localstack, dead_url, 2) == ["eleven", "eleven"]
    delivered = {message["Body"]: message.get("MessageAttributes", {}) for message in received(localstack, raw, 2)}
    assert {body: len(attributes) for body, attributes in delivered.items()} == {"ten": 10, "none": 0}
    found = [json.loads(body)["Message"] for body in messages(localstack, wrapped, 4)]
    assert sorted(found) == ["eleven", "eleven", "none", "ten"]
    assert depth(localstack, raw) == depth(localstack, dead_url) == 0


def test_a_batch_for_a_queue_that_is_gone_is_dead_lettered(localstack: Instance) -> None:
    """A client-side error is not retried (https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html)."""
    sns, topic = localstack.client("sns"), create_topic(localstack)
    dead_url, dead = localstack.create_queue()
    url = subscribe(localstack, topic, RedrivePolicy=json.dumps({"deadLetterTargetArn": dead}))
    localstack.client("sqs").delete_queue(QueueUrl=url)

    entries = [{"Id": name, "Message": name, "MessageAttributes": numbered(1)} for name in ("one", "two")]
    sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)

    dead_letters = received(localstack, dead_url, 2)
    assert sorted(message["Body"] for message in dead_letters) == ["one", "two"]
    assert all(len(message["MessageAttributes"]) == 1 for message in dead_letters)

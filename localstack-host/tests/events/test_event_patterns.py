"""Patterns and targets of rules: what is refused, and that one rule takes no event from another."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, bodies, unique, wait_until

PREFIX = "Event pattern is not valid. Reason: "
INVALID = [
    ({"source": "me"}, '"source" must be an object or an array'),
    ({"source": []}, "Empty arrays are not allowed"),
    ({}, "Empty objects are not allowed"),
    ({"source": [{"contains": "me"}]}, "Unrecognized match type contains"),
    ({"detail": {"a": [{"numeric": [">", 0, "<"]}]}}, "Value of < must be numeric"),
    ({"source": [{"wildcard": "a**"}]}, "Consecutive wildcard characters at pos 2"),
]


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """Code and message."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def put_event(localstack: Instance, source: str, detail: Any) -> None:
    entry = {"Source": source, "DetailType": "test", "Detail": json.dumps(detail)}
    assert localstack.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def put_rule(localstack: Instance, pattern: Any, *targets: dict[str, Any]) -> str:
    name = unique("rule")
    localstack.client("events").put_rule(Name=name, EventPattern=json.dumps(pattern))
    if targets:
        localstack.client("events").put_targets(Rule=name, Targets=list(targets))
    return name


@pytest.mark.parametrize(("pattern", "reason"), INVALID)
def test_put_rule_refuses_a_pattern_that_is_not_valid(localstack: Instance, pattern: Any, reason: str) -> None:
    """InvalidEventPatternException (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html)."""
    events, name = localstack.client("events"), unique("rule")

    found = refusal(events.put_rule, Name=name, EventPattern=json.dumps(pattern))

    assert found == ("InvalidEventPatternException", PREFIX + reason)
    assert events.list_rules(NamePrefix=name)["Rules"] == []


def test_a_rule_keeps_its_pattern_when_another_is_refused(localstack: Instance) -> None:
    """A request that is refused changes nothing."""
    events = localstack.client("events")
    name = put_rule(localstack, {"source": ["me"]})

    refusal(events.put_rule, Name=name, EventPattern='{"source": "me"}')

    assert json.loads(events.describe_rule(Name=name)["EventPattern"]) == {"source": ["me"]}


def test_archives_refuse_a_pattern_that_is_not_valid(localstack: Instance) -> None:
    """InvalidEventPatternException, of CreateArchive and UpdateArchive
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateArchive.html)."""
    events, name = localstack.client("events"), unique("archive")
    bus = events.describe_event_bus()["Arn"]
    invalid = json.dumps({"source": "me"})
    expected = ("InvalidEventPatternException", PREFIX + '"source" must be an object or an array')

    assert refusal(events.create_archive, ArchiveName=name, EventSourceArn=bus, EventPattern=invalid) == expected
    assert events.list_archives(NamePrefix=name)["Archives"] == []

    events.create_archive(ArchiveName=name, EventSourceArn=bus, EventPattern='{"source": ["me"]}')
    try:
        assert refusal(events.update_archive, ArchiveName=name, EventPattern=invalid) == expected
        assert json.loads(events.describe_archive(ArchiveName=name)["EventPattern"]) == {"source": ["me"]}
    finally:
        events.delete_archive(ArchiveName=name)


def test_an_archive_keeps_what_matches_its_present_pattern(localstack: Instance) -> None:
    """UpdateArchive's EventPattern is "the event pattern to use to filter events sent to the archive"
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_UpdateArchive.html)."""
    events, name, source = localstack.client("events"), unique("archive"), unique("source")
    events.create_archive(
        ArchiveName=name, EventSourceArn=events.describe_event_bus()["Arn"], EventPattern='{"source": ["nobody"]}'
    )
    try:
        events.update_archive(ArchiveName=name, EventPattern=json.dumps({"source": [source]}))
        put_event(localstack, source, {})

        wait_until(lambda: events.describe_archive(ArchiveName=name)["EventCount"] == 1)
    finally:
        events.delete_archive(ArchiveName=name)


def test_test_event_pattern_matches_as_rules_do(localstack: Instance) -> None:
    """True, false, or InvalidEventPatternException
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html)."""
    events = localstack.client("events")
    names = ("id", "account", "source", "time", "region", "detail-type")
    event = dict.fromkeys(names, "x") | {"detail": {"items": [{"a": 1, "b": 1}, {"a": 2, "b": 2}], "flag": 1}}

    def result(detail: Any) -> bool:
        pattern = json.dumps({"detail": detail})
        found: bool = events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
        return found

    assert result({"items": {"a": [2], "b": [2]}})
    assert not result({"items": {"a": [1], "b": [2]}})
    assert not result({"flag": [True]})
    assert not result({"flag": [{"prefix": "1"}]})
    code, message = refusal(events.test_event_pattern, EventPattern='{"a": 1}', Event=json.dumps(event))
    assert (code, message) == ("InvalidEventPatternException", PREFIX + '"a" must be an object or an array')


@pytest.mark.parametrize(
    "alternative",
    [
        {"prefix": "a"},
        {"suffix": "a"},
        {"prefix": {"equals-ignore-case": "a"}},
        {"suffix": {"equals-ignore-case": "a"}},
        {"equals-ignore-case": "a"},
        {"wildcard": "a*"},
        {"cidr": "10.0.0.0/8"},
        {"numeric": [">", 1]},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("value", [0, True, None, ["b"], {"a": 1}], ids=json.dumps)
def test_a_value_of_another_type_takes_no_event_from_the_rules_after_it(
    localstack: Instance, alternative: Any, value: Any
) -> None:
    """ "Multiple rules can process a single event"
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html)."""
    source = unique("source")
    url, arn = localstack.create_queue()
    before_url, before_arn = localstack.create_queue()
    rule = {"source": [source], "detail": {"field": [alternative]}}
    put_rule(localstack, rule, {"Id": "before", "Arn": before_arn})
    put_rule(localstack, {"source": [source]}, {"Id": "after", "Arn": arn})

    put_event(localstack, source, {"field": value})

    (event,) = bodies(localstack, url)
    assert event["detail"] == {"field": value}
    assert "Messages" not in localstack.client("sqs").receive_message(QueueUrl=before_url)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({"Id": "x" * 65, "Arn": "arn:aws:sqs:us-east-1:000000000000:any"}, "ValidationException"),
        ({"Id": "not valid", "Arn": "arn:aws:sqs:us-east-1:000000000000:any"}, "ValidationException"),
        ({"Id": "bad", "Arn": "arn:aws:nothing:us-east-1:000000000000:any"}, "ValidationException"),
        (
            {
                "Id": "bad",
                "Arn": "arn:aws:sqs:us-east-1:000000000000:any",
                "InputPath": "$.a",
                "InputTransformer": {"InputTemplate": "<a>"},
            },
            "ValidationException",
        ),
    ],
    ids=["long id", "id", "service", "two inputs"],
)
def test_put_targets_that_is_refused_stores_nothing(localstack: Instance, bad: dict[str, Any], code: str) -> None:
    """Constraints of a target (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Target.html); and the
    rules after it get the event."""
    events, source = localstack.client("events"), unique("source")
    url, arn = localstack.create_queue()
    half = put_rule(localstack, {"source": [source]})
    put_rule(localstack, {"source": [source]}, {"Id": "after", "Arn": arn})

    found, _ = refusal(events.put_targets, Rule=half, Targets=[{"Id": "good", "Arn": arn}, bad])

    assert found == code
    assert events.list_targets_by_rule(Rule=half)["Targets"] == []
    put_event(localstack, source, {"order": 1})
    assert [event["detail"] for event in bodies(localstack, url)] == [{"order": 1}]


def test_a_target_that_fails_is_named_and_not_stored(localstack: Instance) -> None:
    """FailedEntries are "the failed target entries"
    (https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutTargets.html)."""
    events, source = localstack.client("events"), unique("source")
    url, arn = localstack.create_queue()
    rule = put_rule(localstack, {"source": [source]})

    answer = events.put_targets(Rule=rule, Targets=[{"Id": "bad", "Arn": "no-arn"}, {"Id": "good", "Arn": arn}])

    assert answer["FailedEntryCount"] == 1
    assert [entry["TargetId"] for entry in answer["FailedEntries"]] == ["bad"]
    assert [target["Id"] for target in events.list_targets_by_rule(Rule=rule)["Targets"]] == ["good"]
    put_event(localstack, source, {"order": 1})
    assert [event["detail"] for event in bodies(localstack, url)] == [{"order": 1}]


def test_six_targets_are_too_many_and_none_is_stored(localstack: Instance) -> None:
    """Five targets per rule (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html)."""
    events = localstack.client("events")
    rule = put_rule(localstack, {"source": [unique("source")]})
    _, arn = localstack.create_queue()
    targets = [{"Id": str(number), "Arn": arn} for number in range(6)]

    assert refusal(events.put_targets, Rule=rule, Targets=targets)[0] == "LimitExceededException"

    assert events.list_targets_by_rule(Rule=rule)["Targets"] == []
    assert events.put_targets(Rule=rule, Targets=targets[:5])["FailedEntryCount"] == 0
    assert events.put_targets(Rule=rule, Targets=targets[:1])["FailedEntryCount"] == 0, "one of the five, again"


def test_nobody_puts_events_of_aws(localstack: Instance) -> None:
    """Sources that begin with aws. are reserved
    (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html)."""
    entries = [{"Source": name, "DetailType": "test", "Detail": "{}"} for name in ("me", "aws.s3", "aws", "awsome")]

    answer = localstack.client("events").put_events(Entries=entries)

    assert answer["FailedEntryCount"] == 1
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "NotAuthorizedForSourceException",
        None,
        None,
    ]
    assert answer["Entries"][1]["ErrorMessage"] == "Not authorized for the source."
    assert all(entry["EventId"] for number, entry in enumerate(answer["Entries"]) if number != 1)


def test_events_of_s3_reach_rules(localstack: Instance) -> None:
    """S3 sends events with the source aws.s3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html)."""
    s3, bucket = localstack.client("s3"), unique("bucket")
    url, arn = localstack.create_queue()
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    put_rule(localstack, {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}, {"Id": "queue", "Arn": arn})

    s3.put_object(Bucket=bucket, Key="key", Body=b"x")

    (event,) = bodies(localstack, url)
    assert (event["source"], event["detail"]["object"]["key"]) == ("aws.s3", "key")

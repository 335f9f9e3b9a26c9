"""S3's events: keys and sequencers; presigned URLs."""

import json
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.config import Config
from harness import Instance, bodies, received, unique, wait_until

KEYS = {
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    "red flower.jpg": "red+flower.jpg",
    # TestS3NotificationsToSQS::test_key_encoding
    "a@b": "a%40b",
    "in/a b+c é(1).txt": "in/a+b%2Bc+%C3%A9%281%29.txt",
}


@pytest.fixture
def bucket(localstack: Instance) -> str:
    name = unique("bucket")
    localstack.client("s3").create_bucket(Bucket=name)
    return name


def notify(localstack: Instance, bucket: str, *rules: tuple[str, str]) -> str:
    """Sends the bucket's events to a new queue; returns its URL."""
    url, arn = localstack.create_queue()
    queue: dict[str, Any] = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
    if rules:
        queue["Filter"] = {"Key": {"FilterRules": [{"Name": n, "Value": v} for n, v in rules]}}
    localstack.client("s3").put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [queue], "EventBridgeConfiguration": {}},
    )
    wait_until(lambda: received(localstack, url))  # s3:TestEvent
    return url


def event_queue(localstack: Instance, bucket: str) -> str:
    """A queue for the bucket's EventBridge events."""
    url, arn = localstack.create_queue()
    events, name = localstack.client("events"), unique("rule")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail.object"}])
    return url


def objects(localstack: Instance, url: str, count: int) -> list[dict[str, Any]]:
    return [body["Records"][0]["s3"]["object"] for body in bodies(localstack, url, count)]


def test_keys_are_encoded_in_notifications_and_not_for_eventbridge(localstack: Instance, bucket: str) -> None:
    url, event_url = notify(localstack, bucket), event_queue(localstack, bucket)

    for key in KEYS:
        localstack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")

    assert {found["key"] for found in objects(localstack, url, len(KEYS))} == set(KEYS.values())
    assert {found["key"] for found in bodies(localstack, event_url, len(KEYS))} == set(KEYS)


def test_filters_are_given_in_encoded_form(localstack: Instance, bucket: str) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    url = notify(localstack, bucket, ("prefix", "my+pictures/"), ("suffix", "%401.jpg"))

    for key in ("my+pictures/x@1.jpg", "my pictures/x@2.jpg", "my pictures/x@1.jpg"):
        localstack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")

    assert [found["key"] for found in objects(localstack, url, 1)] == ["my+pictures/x%401.jpg"]


@pytest.mark.parametrize("versioned", [False, True])
def test_sequencers_order_puts_and_deletes_of_a_key(localstack: Instance, bucket: str, versioned: bool) -> None:
    # given
    s3 = localstack.client("s3")
    if versioned:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    url, event_url = notify(localstack, bucket), event_queue(localstack, bucket)

    # when a key is written and deleted again and again, also by operations on several
    sizes = [3, 0, 5, 0, 1]
    for size in sizes[:4]:
        if size:
            s3.put_object(Bucket=bucket, Key="key", Body=b"x" * size)
        else:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key"}]})
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="key", CopySource=f"{bucket}/other")

    # then the order of the sequencers, padded on the right with zeros, is the order of the operations
    for found in (objects(localstack, url, 6), bodies(localstack, event_url, 6)):
        events = [event for event in found if event["key"] == "key"]
        longest = max(len(event["sequencer"]) for event in events)
        events.sort(key=lambda event: event["sequencer"].ljust(longest, "0"))
        assert [event.get("size", 0) for event in events] == sizes
        assert all(int(event["sequencer"], 16) for event in events)
        assert len({event["sequencer"] for event in found}) == 6


def test_topics_and_functions_get_encoded_keys_and_sequencers_too(localstack: Instance, bucket: str) -> None:
    # given a bucket that notifies a topic and a function
    told_url, told_arn = localstack.create_queue()
    topic = localstack.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    localstack.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=told_arn)
    function = localstack.create_function("import json\ndef handler(event, context): print(json.dumps(event))")
    arn = localstack.client("lambda").get_function_configuration(FunctionName=function)["FunctionArn"]
    localstack.client("lambda").add_permission(
        FunctionName=function, StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )

    def created(prefix: str) -> dict[str, Any]:
        """Of one event the filters must not overlap."""
        rules = [{"Name": "prefix", "Value": prefix}]
        return {"Events": ["s3:ObjectCreated:*"], "Filter": {"Key": {"FilterRules": rules}}}

    localstack.client("s3").put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "TopicConfigurations": [{"TopicArn": topic, **created("red")}],
            "LambdaFunctionConfigurations": [{"LambdaFunctionArn": arn, **created("blue")}],
        },
    )
    wait_until(lambda: received(localstack, told_url))  # s3:TestEvent

    # when
    for key in ("red flower.jpg", "blue flower.jpg"):
        localstack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"1")

    # then each hears of its own
    (to_topic,) = [json.loads(body["Message"]) for body in bodies(localstack, told_url)]
    (to_function,) = wait_until(lambda: localstack.messages(function, '{ $.Records[0].eventSource = "aws:s3" }'))
    found = [event["Records"][0]["s3"]["object"] for event in (to_topic, json.loads(to_function))]
    assert [one["key"] for one in found] == ["red+flower.jpg", "blue+flower.jpg"]
    assert int(found[0]["sequencer"], 16) < int(found[1]["sequencer"], 16)


# Presigned URLs


def fetch(url: str, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method)) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def client(localstack: Instance, version: str, secret: str = "test") -> Any:
    return boto3.client(
        "s3",
        endpoint_url=localstack.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key=secret,
        config=Config(signature_version=version),
    )


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_url_expires(localstack: Instance, bucket: str, version: str) -> None:
    signer = client(localstack, version)
    localstack.client("s3").put_object(Bucket=bucket, Key="a b", Body=b"content")

    def url(seconds: int) -> str:
        found: str = signer.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "a b"}, ExpiresIn=seconds)
        return found

    expiring = url(1)
    assert fetch(url(60)) == (200, "content")

    wait_until(lambda: fetch(expiring)[0] != 200, every=0.1)
    status, text = fetch(expiring)
    assert status == 403
    assert "<Code>AccessDenied</Code>" in text
    assert "Request has expired" in text


def test_a_presigned_upload_works_for_what_was_signed_only(localstack: Instance, bucket: str) -> None:
    signer = client(localstack, "s3v4")
    url = signer.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "mine"}, ExpiresIn=60)

    assert fetch(url, "PUT", b"new")[0] == 200
    assert localstack.client("s3").get_object(Bucket=bucket, Key="mine")["Body"].read() == b"new"

    for status, text in (fetch(url.replace("/mine", "/yours"), "PUT", b"new"), fetch(url)):
        assert status == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in text


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_url_that_a_function_presigned_works(localstack: Instance, bucket: str, version: str) -> None:
    localstack.client("s3").put_object(Bucket=bucket, Key="key", Body=b"content")
    function = localstack.create_function(
        "import boto3\n"
        "from botocore.config import Config\n"
        "def handler(event, context):\n"
        f"    s3 = boto3.client('s3', config=Config(signature_version={version!r}))\n"
        "    return s3.generate_presigned_url('get_object', event, ExpiresIn=60)\n"
    )

    url, error = localstack.invoke(function, {"Bucket": bucket, "Key": "key"})

    assert error is None, url
    assert fetch(url) == (200, "content")

"""What SQS refuses, and a receive that is repeated."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, Lab, unique

FIFO = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
OUT_OF_RANGE = [
    ("VisibilityTimeout", ["-1", "43201", "abc", "1.5", "\u0663", " 1"]),
    ("DelaySeconds", ["-1", "901", "x"]),
    ("MaximumMessageSize", ["1023", "1048577"]),
    ("MessageRetentionPeriod", ["59", "1209601"]),
    ("ReceiveMessageWaitTimeSeconds", ["-1", "21"]),
    ("KmsDataKeyReusePeriodSeconds", ["59", "86401"]),
    ("SqsManagedSseEnabled", ["yes"]),
]
IN_RANGE = [
    ("VisibilityTimeout", ["0", "43200"]),
    ("DelaySeconds", ["0", "900"]),
    ("MaximumMessageSize", ["1024", "1048576"]),
    ("MessageRetentionPeriod", ["60", "1209600"]),
    ("ReceiveMessageWaitTimeSeconds", ["0", "20"]),
]


def code(call: Callable[..., Any], **request: Any) -> str:
    """The code of the error with which a request is refused."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return str(refused.value.response["Error"]["Code"])


def text(value: str, kind: str = "String") -> dict[str, Any]:
    return {"DataType": kind, "StringValue": value}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OUT_OF_RANGE for value in values])
def test_an_attribute_out_of_its_range_is_refused_and_not_kept(localstack: Instance, name: str, value: str) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    assert code(sqs.create_queue, QueueName=unique("queue"), Attributes={name: value}) == "InvalidAttributeValue"
    both = {"VisibilityTimeout": "7", name: value}
    assert code(sqs.set_queue_attributes, QueueUrl=url, Attributes=both) == "InvalidAttributeValue"
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] == before


def test_the_ends_of_the_ranges_are_taken(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()
    for name, values in IN_RANGE:
        for value in values:
            sqs.set_queue_attributes(QueueUrl=url, Attributes={name: value})
            assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"] == {name: value}


def test_the_limit_per_group_needs_deduplication_per_group(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue(unique("queue") + ".fifo", **FIFO)
    limit = {"FifoThroughputLimit": "perMessageGroupId"}

    assert code(sqs.set_queue_attributes, QueueUrl=url, Attributes=limit) == "InvalidAttributeValue"
    sqs.set_queue_attributes(QueueUrl=url, Attributes={**limit, "DeduplicationScope": "messageGroup"})
    for scope in ({"DeduplicationScope": "topic"}, {"DeduplicationScope": "queue"}):
        assert code(sqs.set_queue_attributes, QueueUrl=url, Attributes=scope) == "InvalidAttributeValue"


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{number}": text("b") for number in range(11)},
        *(
            {"a": text(value, "Number")}
            for value in ("one", "NaN", "Infinity", "1_0", "1" * 39, "1e127", "-1e129", "٣")
        ),
        {"a": text("x", "Number.cents")},
        *({"a": text("", kind)} for kind in ("String", "Number", "String.word")),
        {"a": {"DataType": "Binary", "BinaryValue": b""}},
    ],
    ids=lambda attributes: str(attributes)[:60],
)
def test_message_attributes_that_are_none_are_refused(localstack: Instance, attributes: Any) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()
    request = {"MessageBody": "b", "MessageAttributes": attributes}

    assert code(sqs.send_message, QueueUrl=url, **request) == "InvalidParameterValue"
    entries: Any = [{"Id": "bad", **request}, {"Id": "good", "MessageBody": "good"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]] == [
        ("bad", "InvalidParameterValue", True)
    ]
    assert [message["Body"] for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]] == [
        "good"
    ]


def test_message_attributes_at_their_limits_are_taken(localstack: Instance) -> None:
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()
    numbers = ["0", "-1.5", "1e126", "-1e128", "9" * 38, "0.1e-5"]
    attributes = {f"n{place}": text(value, "Number") for place, value in enumerate(numbers)}
    attributes |= {f"s{place}": text("b") for place in range(10 - len(numbers))}

    sqs.send_message(QueueUrl=url, MessageBody="b", MessageAttributes=attributes)

    (message,) = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes


@pytest.mark.parametrize("seconds", [-1, 901])
def test_a_delay_out_of_its_range_is_refused(localstack: Instance, seconds: int) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()

    assert code(sqs.send_message, QueueUrl=url, MessageBody="b", DelaySeconds=seconds) == "InvalidParameterValue"
    entries: Any = [{"Id": "1", "MessageBody": "b", "DelaySeconds": seconds}, {"Id": "2", "MessageBody": "b"}]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Failed"]] == ["1"]


@pytest.mark.parametrize(
    "request_of",
    [
        {"VisibilityTimeout": -1},
        {"VisibilityTimeout": 43_201},
        {"MaxNumberOfMessages": 0},
        {"MaxNumberOfMessages": 11},
        {"WaitTimeSeconds": 21},
        {"ReceiveRequestAttemptId": "a b"},
    ],
    ids=str,
)
def test_a_receive_out_of_its_ranges_is_refused(localstack: Instance, request_of: Any) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""
    url, _ = localstack.create_queue()

    assert code(localstack.client("sqs").receive_message, QueueUrl=url, **request_of) == "InvalidParameterValue"


def test_a_message_is_invisible_for_twelve_hours_at_most(lab: Lab) -> None:
    """Extending the visibility timeout does not reset the twelve hours, which count from the receive
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html)."""
    sqs = lab.instance.client("sqs")
    url, _ = lab.instance.create_queue()
    sqs.send_message(QueueUrl=url, MessageBody="b")
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    of = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}

    assert code(sqs.change_message_visibility, **of, VisibilityTimeout=43_201) == "InvalidParameterValue"
    lab.pass_time(300)
    assert code(sqs.change_message_visibility, **of, VisibilityTimeout=43_000) == "InvalidParameterValue"
    sqs.change_message_visibility(**of, VisibilityTimeout=42_000)


def test_one_bad_entry_fails_alone_with_the_code_of_the_single_request(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_BatchResultErrorEntry.html"""
    sqs = localstack.client("sqs")
    url, _ = localstack.create_queue()
    for body in ("1", "2"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    first, second = (sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"] for _ in range(2))

    def failed(answer: Any) -> list[tuple[str, str, bool]]:
        assert [entry["Id"] for entry in answer["Successful"]] == ["good"]
        return [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]]

    changes: Any = [
        {"Id": "none", "ReceiptHandle": "none", "VisibilityTimeout": 5},
        {"Id": "long", "ReceiptHandle": first, "VisibilityTimeout": 43_201},
        {"Id": "good", "ReceiptHandle": second, "VisibilityTimeout": 60},
    ]
    assert failed(sqs.change_message_visibility_batch(QueueUrl=url, Entries=changes)) == [
        ("none", "ReceiptHandleIsInvalid", True),
        ("long", "InvalidParameterValue", True),
    ]
    deletions: Any = [{"Id": "none", "ReceiptHandle": "none"}, {"Id": "good", "ReceiptHandle": second}]
    assert failed(sqs.delete_message_batch(QueueUrl=url, Entries=deletions)) == [
        ("none", "ReceiptHandleIsInvalid", True)
    ]


@pytest.mark.parametrize(("fifo", "bodies"), [(False, []), (True, ["b"])], ids=["standard", "FIFO"])
def test_a_changed_delay_is_one_for_messages_in_a_fifo_queue(lab: Lab, fifo: bool, bodies: list[str]) -> None:
    """For standard queues a change affects only new messages; for FIFO queues also those that are in the queue
    (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html)."""
    sqs = lab.instance.client("sqs")
    name, kind = (unique("queue") + ".fifo", FIFO) if fifo else (unique("queue"), {})
    url, _ = lab.instance.create_queue(name, **kind, DelaySeconds="600")
    sqs.send_message(QueueUrl=url, MessageBody="b", **({"MessageGroupId": "a"} if fifo else {}))
    lab.pass_time(60)

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "30"})

    found = sqs.receive_message(QueueUrl=url).get("Messages", [])
    assert [message["Body"] for message in found] == bodies


class TestReceiveRequestAttemptId:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html"""

    @pytest.fixture
    def receive(self, lab: Lab) -> Callable[..., Any]:
        url, _ = lab.instance.create_queue(unique("queue") + ".fifo", **FIFO)
        self.sqs, self.url = lab.instance.client("sqs"), url
        for body in ("1", "2", "3"):
            self.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=body)

        def receive(attempt: str = "attempt", most: int = 2) -> list[tuple[str, str]]:
            answer = self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=most, ReceiveRequestAttemptId=attempt, VisibilityTimeout=60
            )
            return [(message["Body"], message["ReceiptHandle"]) for message in answer.get("Messages", [])]

        return receive

    def test_a_repeated_request_has_the_same_answer(self, lab: Lab, receive: Callable[..., Any]) -> None:
        """With the same receipt handles; its visibility timeout begins anew."""
        first = receive()
        lab.pass_time(40)
        assert receive() == first
        lab.pass_time(40)

        assert [body for body, _ in first] == ["1", "2"]
        assert receive() == first
        assert [body for body, _ in receive("another")] == ["3"]

    def test_once_something_has_become_of_a_message_it_has_another(self, lab: Lab, receive: Callable[..., Any]) -> None:
        first = receive()
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=first[0][1])
        assert [body for body, _ in receive()] == ["3"]

    def test_a_changed_visibility_is_something(self, lab: Lab, receive: Callable[..., Any]) -> None:
        first = receive()
        self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=first[0][1], VisibilityTimeout=0)
        assert sorted(body for body, _ in receive()) == ["1", "3"]

    def test_after_its_visibility_timeout_a_message_is_received_anew(
        self, lab: Lab, receive: Callable[..., Any]
    ) -> None:
        first = receive(most=1)
        lab.pass_time(61)
        again = receive(most=10)
        assert sorted(body for body, _ in again) == ["1", "2", "3"]
        assert first[0] not in again

"""Looks into a dead-letter queue, and takes nothing out of it."""

import json
import time
from dataclasses import dataclass
from typing import Any

from lab.console import LabError
from lab.deployment import Deployment

SHOWN = 10  # messages: as many as one ReceiveMessage brings
VAIN_RECEIVES = 3  # receives in a row that bring nothing new: then what is shown is what there is to see
BODY_CHARACTERS = 200


@dataclass(frozen=True)
class Letter:
    """A message as `make peek` shows it: seconds since it was sent, receives (this look is one of them)."""

    message_id: str
    age: float
    receives: int
    correlation_id: str
    body: str

    def __str__(self) -> str:
        told = f"correlation id {self.correlation_id}" if self.correlation_id else "no correlation id"
        times = f"{self.receives} time{'' if self.receives == 1 else 's'}"
        return f"{self.message_id}  sent {ago(self.age)} ago, received {times}, {told}\n  {self.body}"


def dead_letter_queue(deployment: Deployment, name: str) -> str:
    """The URL of the dead-letter queue that `QUEUE=` calls by this name. Raises LabError when there is none.

    A queue's own dead-letter queue goes by the queue's name, as in `make redrive`. The queue itself cannot be looked
    into: there a receive is one of the few that a message has before it is dead-lettered.
    """
    queues, others = deployment.contract.queues, deployment.contract.dead_letter_queues
    if name in others:
        return others[name]
    if name not in queues:
        raise LabError(f"Unknown QUEUE={name}. There are: {', '.join([*queues, *others]) or 'none'}.")
    of_queue = queues[name].dlq_arn.rpartition(":")[2]
    return str(deployment.target.client("sqs").get_queue_url(QueueName=of_queue)["QueueUrl"])


def letters(deployment: Deployment, queue_url: str) -> list[Letter]:
    """Up to SHOWN messages of a dead-letter queue, all of which stay where they are, for everybody to receive.

    SQS has no way to look without receiving. A visibility timeout of 0 hides nothing, not even if the look is broken
    off. What is left is the receive count: it rises by one, and has no consequence where there is no redrive policy.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
    """
    sqs = deployment.target.client("sqs")
    wanted = min(SHOWN, deployment.depth(queue_url).waiting)
    found: dict[str, Letter] = {}
    vain = 0
    while len(found) < wanted and vain < VAIN_RECEIVES:
        received = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=SHOWN,
            VisibilityTimeout=0,
            WaitTimeSeconds=1,  # a long poll asks all of SQS's servers, a short one some of them
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        before = len(found)
        found |= {message["MessageId"]: letter(message) for message in received}
        vain = vain + 1 if len(found) == before else 0
    return list(found.values())[:SHOWN]


def letter(message: dict[str, Any]) -> Letter:
    """What is shown of a message, as ReceiveMessage answers it with all attributes."""
    attributes = message["Attributes"]
    return Letter(
        message["MessageId"],
        time.time() - int(attributes["SentTimestamp"]) / 1000,
        int(attributes["ApproximateReceiveCount"]),
        correlation_id(message),
        cut(message["Body"]),
    )


def correlation_id(message: dict[str, Any]) -> str:
    """The one in the message's attributes, or in its body; "" if it has none."""
    attribute = message.get("MessageAttributes", {}).get("correlation_id", {}).get("StringValue")
    if attribute:
        return printable(attribute)
    try:
        body = json.loads(message["Body"])
    except (ValueError, RecursionError):
        return ""
    found = body.get("correlation_id") if isinstance(body, dict) else None
    return printable(found) if isinstance(found, str) else ""


def cut(body: str) -> str:
    """A body on one line, and not all of a long one."""
    line = printable(" ".join(body[: 2 * BODY_CHARACTERS].split()))[:BODY_CHARACTERS]
    return line if len(body) <= BODY_CHARACTERS else f"{line}... ({len(body)} characters)"


def printable(text: str) -> str:
    """Text without what a terminal would obey: nobody but its sender knows what is in a message."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def ago(seconds: float) -> str:
    """A duration in its largest unit."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"

"""What SNS cannot put into a queue goes to the subscription's dead-letter queue, and nothing else does.

AWS: with raw message delivery the attributes of a message become those of SQS's, of which there may be ten; with more,
the message is "discarded as a client-side error" (https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html),
and those go to the dead-letter queue (https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html).

LocalStack: delivers any number of attributes. When a queue refuses one message of a batch, all of the batch are put
into the dead-letter queue, also those that were delivered.

Here: the publishers of queues look at the number of attributes first, and at SQS's answer for each message.

Evidence: documentation; belief that the dead letter has the message's body and, since no message in SQS could have them
either, none of its attributes.
"""

import copy
import logging
from typing import Any

from localstack.aws.connect import connect_to
from localstack.services.sns import publisher
from localstack.services.sns.publisher import PublishDispatcher, SqsBatchTopicPublisher, SqsTopicPublisher
from localstack.utils.aws.arns import (
    extract_account_id_from_arn,
    extract_region_from_arn,
    sqs_queue_url_for_arn,
)
from localstack.utils.aws.aws_responses import create_sqs_system_attributes
from localstack.utils.aws.dead_letter_queue import sns_error_to_dead_letter_queue

from localstack_host.patching import overrides, replace, uses

uses(publisher, "is_raw_message_delivery", "store_delivery_log")
uses(SqsTopicPublisher, "prepare_message", "get_sqs_kwargs")

LOG = logging.getLogger(__name__)

MOST_ATTRIBUTES = 10


def has_too_many_attributes(message: Any, subscriber: Any) -> bool:
    return publisher.is_raw_message_delivery(subscriber) and len(message.message_attributes or ()) > MOST_ATTRIBUTES


class SqsPublisher(SqsTopicPublisher):
    @overrides
    def _publish(self, context: Any, subscriber: Any) -> None:
        if has_too_many_attributes(context.message, subscriber):
            refuse(self, context.message, context, subscriber)
        else:
            super()._publish(context, subscriber)


class SqsBatchPublisher(SqsBatchTopicPublisher):
    @overrides
    def _publish(self, context: Any, subscriber: Any) -> None:
        messages = {}
        for number, message in enumerate(context.messages):
            if has_too_many_attributes(message, subscriber):
                refuse(self, message, context, subscriber)
            else:
                messages[f"sns-batch-{number}"] = message
        failures = self.send(messages, context, subscriber) if messages else {}
        for identifier, message in messages.items():
            delivered = identifier not in failures
            publisher.store_delivery_log(message, subscriber, delivered, topic_attributes=context.topic_attributes)
            if not delivered:
                dead_letter(self, message, context, subscriber, failures[identifier])

    def send(self, messages: dict[str, Any], context: Any, subscriber: Any) -> dict[str, str]:
        """Sends with one request. Returns the errors of the messages that were not taken, by the keys of these."""
        system = create_sqs_system_attributes(context.request_headers)
        entries: Any = [
            {
                "Id": identifier,
                "MessageBody": self.prepare_message(message, subscriber, topic_attributes=context.topic_attributes),
                **self.get_sqs_kwargs(message, subscriber),
                **({"MessageSystemAttributes": system} if system else {}),
            }
            for identifier, message in messages.items()
        ]
        queue = subscriber["Endpoint"]
        clients = connect_to(
            aws_access_key_id=extract_account_id_from_arn(queue), region_name=extract_region_from_arn(queue)
        )
        try:
            client = clients.sqs.request_metadata(source_arn=subscriber["TopicArn"], service_principal="sns")
            answer = client.send_message_batch(QueueUrl=sqs_queue_url_for_arn(queue), Entries=entries)
        except Exception as error:  # the queue is gone, or whatever else keeps all of them out
            return dict.fromkeys(messages, str(error))
        return {entry["Id"]: entry["Code"] for entry in answer.get("Failed", [])}


def refuse(sender: SqsTopicPublisher, message: Any, context: Any, subscriber: Any) -> None:
    publisher.store_delivery_log(message, subscriber, False, topic_attributes=context.topic_attributes)
    bare = copy.copy(message)
    bare.message_attributes = None
    dead_letter(sender, bare, context, subscriber, f"more than {MOST_ATTRIBUTES} message attributes")


def dead_letter(sender: SqsTopicPublisher, message: Any, context: Any, subscriber: Any, error: str) -> None:
    LOG.info("message %s was not delivered to %s: %s", message.message_id, subscriber["Endpoint"], error)
    body = sender.prepare_message(message, subscriber, topic_attributes=context.topic_attributes)
    try:
        sns_error_to_dead_letter_queue(subscriber, body, error, **sender.get_sqs_kwargs(message, subscriber))
    except Exception as failure:  # there is nobody left to tell, and others of a batch to go
        LOG.warning("message %s was lost: %s", message.message_id, failure)


def install() -> None:
    # patch: the dispatcher has one publisher for each protocol in these tables.
    replace(PublishDispatcher, "topic_notifiers", PublishDispatcher.topic_notifiers | {"sqs": SqsPublisher()})
    replace(
        PublishDispatcher,
        "batch_topic_notifiers",
        PublishDispatcher.batch_topic_notifiers | {"sqs": SqsBatchPublisher()},
    )

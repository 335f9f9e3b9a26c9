"""A message that a move task redrives is a new message.

AWS: the redrive task resets the retention period: a redriven message is a new message, with a new message id and
enqueue time (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html).

LocalStack: puts the dead letter itself into the destination queue: its MessageId and SentTimestamp stay, its
ApproximateReceiveCount goes on from that of the dead-letter queue, and it keeps DeadLetterQueueSourceArn.

Here: the task puts a message of the same body and message attributes, with a MessageId of its own, the SentTimestamp
of the move, and no receives. In a FIFO queue it keeps its message group, and its deduplication id is the dead letter's
message id, as the same page has it for the move into the dead-letter queue: it would otherwise be taken for a duplicate
of itself. The FailureReason of a task whose destination is gone is AWS's name for it.

Evidence: documentation for id and time, a recording of AWS of April 2024 for the reason (LocalStack's
``test_move_task_delete_destination_queue_while_running``); belief for the rest, which follows from "new": the receives
begin at 0, DeadLetterQueueSourceArn is gone, SenderId stays, and a redriven message is no duplicate of the first.
"""

import time

from localstack.aws.api.sqs import Message, MessageSystemAttributeName, QueueDoesNotExist
from localstack.services.sqs import provider
from localstack.services.sqs.models import MessageMoveTask, MessageMoveTaskStatus
from localstack.services.sqs.utils import generate_message_id

from localstack_host.patching import overrides, replace, uses
from localstack_host.sqs.message_states import QueuedMessage

uses(provider.MessageMoveTaskManager, "_fail_task", "_get_queue_by_arn")

# What was said of the dead letter and is not true of the new message. A FIFO queue gives its own sequence number.
OF_THE_DEAD_LETTER = {
    MessageSystemAttributeName.ApproximateReceiveCount,
    MessageSystemAttributeName.ApproximateFirstReceiveTimestamp,
    MessageSystemAttributeName.DeadLetterQueueSourceArn,
    MessageSystemAttributeName.SequenceNumber,
}
RECEIVE_SECONDS = 1  # a message whose destination is gone is visible in the dead-letter queue again after that

GONE = "AWS.SimpleQueueService.NonExistentQueue"


def new_message(dead_letter: QueuedMessage) -> Message:
    """The message that is put into the destination in place of a dead letter."""
    attributes = {
        name: value
        for name, value in dead_letter.message.get("Attributes", {}).items()
        if name not in OF_THE_DEAD_LETTER
    }
    attributes[MessageSystemAttributeName.SentTimestamp] = str(int(time.time() * 1000))
    return Message(**{**dead_letter.message, "MessageId": generate_message_id(), "Attributes": attributes})


class MoveTasks(provider.MessageMoveTaskManager):
    @overrides
    def _run(self, move_task: MessageMoveTask) -> None:
        try:
            while not move_task.cancel_event.is_set() and self.moves_one(move_task):
                if rate := move_task.max_number_of_messages_per_second:
                    move_task.cancel_event.wait(timeout=1 / rate)
        except Exception as error:  # the task's state says it: a queue that is gone, or that refuses the message
            self._fail_task(move_task, error)
            if isinstance(error, QueueDoesNotExist):
                move_task.failure_reason = GONE
            return
        cancelled = move_task.cancel_event.is_set()
        move_task.status = MessageMoveTaskStatus.CANCELLED if cancelled else MessageMoveTaskStatus.COMPLETED

    def moves_one(self, move_task: MessageMoveTask) -> bool:
        """Whether there was a message to move. Raises what the queues raise, and if one of them is gone."""
        source = self._get_queue_by_arn(move_task.source_arn)
        received = source.receive(num_messages=1, visibility_timeout=RECEIVE_SECONDS)
        if not received.successful:
            return False
        dead_letter = received.successful[0]
        source_arn = dead_letter.message["Attributes"].get(MessageSystemAttributeName.DeadLetterQueueSourceArn)
        destination = self._get_queue_by_arn(move_task.destination_arn or source_arn)
        destination.put(
            message=new_message(dead_letter),
            message_group_id=dead_letter.group,
            message_deduplication_id=dead_letter.message_id if destination.fifo else None,
        )
        source.remove(received.receipt_handles[0])
        move_task.approximate_number_of_messages_moved += 1
        return True


def install() -> None:
    # patch: the manager moves in one method, and the provider makes it from the name in its module.
    replace(provider, "MessageMoveTaskManager", MoveTasks)

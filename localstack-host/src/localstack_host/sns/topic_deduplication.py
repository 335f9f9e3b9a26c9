"""A FIFO topic delivers a message once, whatever its subscriptions are.

AWS: a message that is published with a deduplication id of the last five minutes is accepted and not delivered; with
ContentBasedDeduplication the id is the SHA-256 of the body, without its attributes. FifoThroughputScope says whether an
id counts in the topic or in its message group
(https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html,
https://docs.aws.amazon.com/sns/latest/dg/fifo-high-throughput.html).

LocalStack: delivers each, and leaves it to FIFO queues to notice. A standard queue gets them all, and a queue that
subscribes between two of them gets the second.

Here: the dispatcher drops what was published before, in a batch too. The publisher is told nothing.

Evidence: documentation; recording test_publish_to_fifo_topic_deduplication_on_topic_level; belief that a duplicate has
a message id and a sequence number of its own.
"""

import copy
import hashlib
import threading
import time
from typing import Any

from localstack.services.sns import provider
from localstack.services.sns.publisher import PublishDispatcher

from localstack_host.patching import overrides, replace
from localstack_host.shared.deduplication import Deduplication

LOCK = threading.Lock()


def is_new(message: Any, topic: Any) -> bool:
    """Whether a topic has not had this message, an SnsMessage, within the interval; remembers it."""
    identifier = message.message_deduplication_id
    if not identifier:
        identifier = hashlib.sha256(message.message_content("default").encode()).hexdigest()
    by_group = topic["attributes"].get("FifoThroughputScope") == "MessageGroup"
    key = (message.message_group_id if by_group else None, identifier)
    with LOCK:
        # In the topic itself, so that one that is made again under its name remembers nothing.
        published: Deduplication[bool] = topic.setdefault("published", Deduplication())
        now = time.time()
        if published.first(key, now):
            return False
        published.add(key, True, now)
        return True


class Dispatcher(PublishDispatcher):
    @overrides
    def publish_to_topic(self, ctx: Any, topic_arn: str) -> None:
        if not topic_arn.endswith(".fifo") or is_new(ctx.message, ctx.store.topics[topic_arn]):
            super().publish_to_topic(ctx, topic_arn)

    @overrides
    def publish_batch_to_topic(self, ctx: Any, topic_arn: str) -> None:
        if topic_arn.endswith(".fifo"):
            ctx = copy.copy(ctx)
            ctx.messages = [message for message in ctx.messages if is_new(message, ctx.store.topics[topic_arn])]
        super().publish_batch_to_topic(ctx, topic_arn)


def install() -> None:
    # patch: the provider makes its dispatcher from the name in its module.
    replace(provider, "PublishDispatcher", Dispatcher)

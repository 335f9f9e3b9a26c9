"""Keys and sequencers of S3's events.

AWS: the key in a notification is form-encoded, "red flower.jpg" becomes "red+flower.jpg", and prefixes and suffixes of
filters are given in the same form (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html).
Events of PUTs and DELETEs have a ``sequencer``: of two events of a key, the one with the greater hexadecimal value
occurred later (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html). In
EventBridge events the key is not encoded.

LocalStack: writes %20 for a space, encodes the key for EventBridge too, and every event has the same sequencer.

Here: the provider encodes the key and numbers the events when the operation notifies; the notifiers write both into
their events. Sequencers grow over all keys. Two writes of one key at the same moment are numbered in the order in which
they notify, which need not be the order in which LocalStack stored them.

Evidence: recording (TestS3NotificationsToSQS::test_key_encoding: a@b) and documentation; belief that EventBridge events
have the key as it is.
"""

import json
import threading
import time
from typing import Any, ClassVar
from urllib.parse import quote_plus, unquote, unquote_plus

from localstack.services.s3 import notifications
from localstack.services.s3.provider import S3Provider

from localstack_host.patching import overrides, swap


class Sequencer:
    """Numbers that grow, from the clock: seconds since 1970 and a fraction, 16 hexadecimal digits after two zeros."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last = 0

    def next(self) -> str:
        with self.lock:
            self.last = max(self.last + 1, (time.time_ns() << 32) // 1_000_000_000)
            return f"{self.last:018X}"


class SqsNotifier(notifications.SqsNotifier):
    @overrides
    def _get_event_payload(self, ctx: Any, config_id: str) -> Any:
        return numbered(super()._get_event_payload(ctx, config_id), ctx)


class SnsNotifier(notifications.SnsNotifier):
    @overrides
    def _get_event_payload(self, ctx: Any, config_id: str) -> Any:
        return numbered(super()._get_event_payload(ctx, config_id), ctx)


class LambdaNotifier(notifications.LambdaNotifier):
    @overrides
    def _get_event_payload(self, ctx: Any, config_id: str) -> Any:
        return numbered(super()._get_event_payload(ctx, config_id), ctx)


class EventBridgeNotifier(notifications.EventBridgeNotifier):
    @overrides
    def _get_event_payload(self, ctx: Any, config_id: Any = None) -> Any:
        entry = super()._get_event_payload(ctx, config_id)
        detail = json.loads(entry["Detail"])
        detail["object"]["key"] = unquote_plus(ctx.key_name)
        if "sequencer" in detail["object"]:
            detail["object"]["sequencer"] = ctx.sequencer
        return {**entry, "Detail": json.dumps(detail)}


def numbered(payload: Any, ctx: Any) -> Any:
    described = payload["Records"][0]["s3"]["object"]
    if "sequencer" in described:
        described["sequencer"] = ctx.sequencer
    return payload


class Dispatcher(notifications.NotificationDispatcher):
    notifiers: ClassVar = overrides(
        {
            "QueueConfigurations": SqsNotifier(),
            "TopicConfigurations": SnsNotifier(),
            "LambdaFunctionConfigurations": LambdaNotifier(),
            "EventBridgeConfiguration": EventBridgeNotifier(),
        }
    )


class ObjectEvents(S3Provider):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        swap(self, "_notification_dispatcher", Dispatcher())
        self.sequencer = Sequencer()

    @overrides
    def _notify(self, context: Any, s3_bucket: Any, s3_object: Any = None, s3_notif_ctx: Any = None) -> None:
        if not s3_bucket.notification_configuration:
            return
        event = s3_notif_ctx or notifications.S3EventNotificationContext.from_request_context(
            context, s3_bucket=s3_bucket, s3_object=s3_object
        )
        swap(event, "key_name", quote_plus(unquote(event.key_name), safe="/"))
        event.sequencer = self.sequencer.next()
        super()._notify(context, s3_bucket=s3_bucket, s3_notif_ctx=event)

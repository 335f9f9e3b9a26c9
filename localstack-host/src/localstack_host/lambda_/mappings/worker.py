"""The states of an event source mapping: draining, disabling, and the change from one configuration to the next.

AWS: a mapping that is being disabled is in the state Disabling until it has stopped
(https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html).

LocalStack: says Disabled while its old poller still invokes the function. A mapping that is deleted while disabled
stays in ListEventSourceMappings.

Here: Disabled, and the start of an updated mapping, wait for the poller that they replace to finish its batches. The
worker runs the pollers of queues (``sqs``) and of streams (``streams``) alike: what it asks of them is MappingPoller.

Evidence: documentation; belief for what counts as stopped.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from localstack.services.lambda_.event_source_mapping import esm_worker_factory
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmState
from localstack.services.lambda_.event_source_mapping.esm_worker import EsmWorker as StockEsmWorker
from localstack.services.lambda_.event_source_mapping.pollers.poller import Poller

from localstack_host.lambda_.mappings.filters import filter_events
from localstack_host.patching import overrides, replace, uses
from localstack_host.shared.arrivals import ARRIVALS

uses(StockEsmWorker, "start", "_shutdown_event", "_state")


class MappingPoller(Poller):
    """A poller of this package. LocalStack's hook can make pollers of other services, which know nothing of this."""

    filter_events = overrides(filter_events)

    @abstractmethod
    def configure(self, stopped: threading.Event, config: dict[str, Any], report: Callable[[str], None]) -> None:
        """Called once, before it polls.

        ``stopped`` is set when the mapping is to stop; ``config`` is the mapping as GetEventSourceMapping returns it;
        ``report`` takes what becomes its LastProcessingResult.
        """

    def forget(self) -> None:
        """Called when the mapping has been deleted."""


class EsmWorker(StockEsmWorker):
    """A mapping's worker. LocalStack makes a new one for every update and stops the old one."""

    latest: ClassVar[WeakValueDictionary[str, "EsmWorker"]] = WeakValueDictionary()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.finished = threading.Event()
        self.turn = threading.RLock()
        self.replaced = False
        self.predecessor = self.latest.get(self.uuid)
        if self.predecessor:
            self.predecessor.replaced = True
        self.latest[self.uuid] = self
        if isinstance(self.poller, MappingPoller):
            self.poller.configure(self._shutdown_event, self.esm_config, self.report)

    @overrides
    def create(self) -> None:
        predecessor, self.predecessor = self.predecessor, None
        if predecessor is None or predecessor.finished.is_set():
            self.begin()
            return
        self.current_state = EsmState.ENABLING if self.enabled else EsmState.DISABLING
        self.state_transition_reason = self.user_state_reason
        self.update_esm_state_in_store(self.current_state)

        def follow() -> None:
            predecessor.finished.wait()
            with self.turn:  # LocalStack's start() clears the event that says it was stopped
                if not self._shutdown_event.is_set():
                    self.begin()
                    return
                self.finished.set()
            if self.current_state == EsmState.DELETING:
                self.delete_esm_in_store()

        threading.Thread(target=follow, daemon=True).start()

    def begin(self) -> None:
        super().create()
        if not self.enabled:
            self.finished.set()

    @overrides
    def poller_loop(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().poller_loop(*args, **kwargs)
        finally:
            self.finished.set()

    @overrides
    def stop(self) -> None:
        with self.turn:
            super().stop()
        self.wake()

    @overrides
    def stop_for_shutdown(self) -> None:
        with self.turn:
            super().stop_for_shutdown()
        self.wake()

    @overrides
    def delete(self) -> None:
        with self.turn:
            super().delete()
        self.wake()
        if self.finished.is_set():  # LocalStack leaves this to the poller's thread, and there is none
            self.delete_esm_in_store()

    def wake(self) -> None:
        """For a poller that waits, to see that it was stopped."""
        if isinstance(self.poller, MappingPoller):
            ARRIVALS.wake(self.esm_config["EventSourceArn"])

    def report(self, result: str) -> None:
        mapping = self._state.event_source_mappings.get(self.uuid)
        if mapping is not None:
            mapping["LastProcessingResult"] = result

    @overrides
    def delete_esm_in_store(self) -> None:
        super().delete_esm_in_store()
        if isinstance(self.poller, MappingPoller):
            self.poller.forget()

    @overrides
    def update_esm_state_in_store(self, new_state: EsmState) -> None:
        if not self.replaced:
            super().update_esm_state_in_store(new_state)


def install() -> None:
    # patch: the factory makes workers from the name in its module.
    replace(esm_worker_factory, "EsmWorker", EsmWorker)

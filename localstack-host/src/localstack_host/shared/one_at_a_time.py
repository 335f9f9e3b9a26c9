"""moto answers one request at a time.

AWS: concurrent writes to one item or shard happen one after another
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html).

LocalStack: calls moto from as many threads as there are requests; moto, written for tests of one thread, then loses
writes.

Here: the dispatcher that sends to moto what a provider does not implement holds a lock while moto works. Providers
hold it in what they implement themselves.

Evidence: documentation.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from localstack.aws.api import RequestContext, ServiceRequest
from localstack.aws.forwarder import ForwardingFallbackDispatcher
from localstack.aws.skeleton import DispatchTable
from localstack.services.moto import call_moto


def behind(lock: AbstractContextManager[Any]) -> Callable[[object], DispatchTable]:
    """A ``dispatch_table_factory`` for ``Service.for_provider``."""

    def forward(context: RequestContext, request: ServiceRequest) -> Any:
        with lock:
            return call_moto(context)

    return lambda provider: ForwardingFallbackDispatcher(provider, forward)

"""The executions that have an environment: one that was just started has none until its definition is read."""

from collections.abc import Iterator
from typing import Any


def begun(store: Any) -> Iterator[tuple[Any, Any]]:
    """Each execution of a provider's store, with its environment."""
    for execution in list(store.executions.values()):
        if execution.exec_worker and execution.exec_worker.env:
            yield execution, execution.exec_worker.env

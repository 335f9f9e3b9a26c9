"""The shared code behind tasks of a state machine: what it logs, and by which name an error gets out."""

from types import ModuleType
from typing import Any

import pytest

from lab.handler_testing import Context, LogLines

ORDER = {"order_id": "o-1", "correlation_id": "trace-1"}


@pytest.fixture
def task(handlers_layer: ModuleType) -> Any:
    return handlers_layer.task


def event(action: str = "charge", **fields: Any) -> dict[str, Any]:
    return {"action": action, "order": ORDER, "attempt": 1, **fields}


def test_an_action_is_performed_and_logged_with_what_it_returned(task: Any, logged: LogLines) -> None:
    effect = {"charged": "12.50", "label": "x" * 2000}

    assert task.perform(event(), Context(), {"charge": lambda given: effect}) == effect

    [line] = logged()
    expected = {"message": "processed", "charged": "12.50", "action": "charge", "attempt": 1, **ORDER}
    assert {name: line.get(name) for name in expected} == expected
    assert "label" not in line


@pytest.mark.parametrize(("base", "level"), [("PermanentError", "ERROR"), ("Exception", "WARNING")])
def test_an_error_is_logged_by_its_class_and_gets_out_under_its_name(
    task: Any, logged: LogLines, base: str, level: str
) -> None:
    refused = type("Refused", (getattr(task, base, Exception),), {})

    def act(given: dict[str, Any]) -> dict[str, Any]:
        raise refused("no")

    with pytest.raises(refused):
        task.perform(event(), Context(), {"charge": act})

    [line] = logged()
    error_class = "permanent" if level == "ERROR" else "transient"
    expected = {"message": "failed", "level": level, "error_class": error_class, "error": "Refused: no", **ORDER}
    assert {name: line.get(name) for name in expected} == expected
    assert "exception" not in line  # the runtime logs the traceback of what gets out


@pytest.mark.parametrize("wrong", [{"action": "juggle"}, {"action": None}, {"order": None}, {"order": {}}])
def test_what_a_function_cannot_read_is_malformed(task: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(task.MalformedTask):
        task.perform(event() | wrong, Context(), {"charge": lambda given: {"id": given["order"]["order_id"]}})


@pytest.mark.parametrize(
    "noise",
    [None, [], "charge", {"action": ["charge"]}, {"action": "charge", "order": "o-1"}, {"action": {}, "order": [1]}],
)
def test_whatever_a_task_is_it_is_logged_and_malformed(task: Any, logged: LogLines, noise: Any) -> None:
    with pytest.raises(task.MalformedTask):
        task.perform(noise, Context(), {"charge": lambda given: {"id": given["order"]["order_id"]}})

    [line] = logged()
    assert (line["message"], line["error_class"]) == ("failed", "permanent")

"""The 25,000 events of an execution, and that its end is the last."""

import json

import pytest
from harness import Instance
from harness import run as in_localstack
from state_machines import create, end, machine, start

MOST_EVENTS = 25_000

# The history by itself, in the interpreter that has LocalStack: the events of an execution take ten seconds.
FILLED = """
import json
from types import SimpleNamespace
from localstack.services.stepfunctions.asl.eval.event.event_manager import EventHistoryContext
from localstack_host.stepfunctions.execution_history import ExecutionHistory, HistoryFull
found = {}
for events in (
    "ExecutionSucceeded", "PassStateExited ExecutionFailed", "MapIterationFailed TaskFailed ExecutionFailed"
):
    errors = []
    history = ExecutionHistory(
        SimpleNamespace(cloud_watch_logging_session=None, execution_type="STANDARD", set_error=errors.append)
    )
    context = EventHistoryContext.of_program_start()
    for _ in range(24_999):
        history.add_event(context, "PassStateEntered")
    outcome = []
    for event in events.split():
        try:
            outcome.append(history.add_event(context, event))
        except HistoryFull:
            outcome.append("full")
    found[events] = [outcome, len(errors), *(event["type"] for event in history.get_event_history()[24_999:])]
print(json.dumps(found))
"""


def test_the_last_event_is_the_end() -> None:
    """ "If the event number 25,000 is ExecutionSucceeded, the execution finishes successfully", else it fails.

    https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
    """
    ended = in_localstack(FILLED)

    assert json.loads(ended.stdout.splitlines()[-1]) == {
        "ExecutionSucceeded": [[MOST_EVENTS], 0, "ExecutionSucceeded"],
        "PassStateExited ExecutionFailed": [["full", MOST_EVENTS], 2, "ExecutionFailed"],
        "MapIterationFailed TaskFailed ExecutionFailed": [[24_999, "full", MOST_EVENTS], 3, "ExecutionFailed"],
    }


ENDED = """
import json
from types import SimpleNamespace
from localstack.services.stepfunctions.asl.eval.event.event_manager import EventHistoryContext
from localstack_host.stepfunctions.execution_history import ExecutionHistory
found = {}
for kind in ("STANDARD", "EXPRESS"):
    history = ExecutionHistory(SimpleNamespace(cloud_watch_logging_session=None, execution_type=kind))
    context = EventHistoryContext.of_program_start()
    for event in "ExecutionStarted ExecutionAborted MapIterationAborted ExecutionRedriven PassStateEntered".split():
        history.add_event(context, event)
    found[kind] = [event["type"] for event in history.get_event_history()]
print(json.dumps(found))
"""


def test_nothing_follows_the_end_but_a_redrive() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html"""
    ended = in_localstack(ENDED)

    events = ["ExecutionStarted", "ExecutionAborted", "ExecutionRedriven", "PassStateEntered"]
    assert json.loads(ended.stdout.splitlines()[-1]) == {"STANDARD": events, "EXPRESS": events}


def test_a_loop_without_an_end_fails_at_its_limit(localstack: Instance) -> None:
    """In a branch, past the Catch around it; and cannot be redriven.

    https://docs.aws.amazon.com/step-functions/latest/dg/bp-history-limit.html
    https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
    """
    client = localstack.client("stepfunctions")
    loop = machine(A={"Type": "Pass", "Next": "B"}, B={"Type": "Pass", "Next": "A"})
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
    parallel = {"Type": "Parallel", "Branches": [loop], "Catch": catch, "End": True}

    execution = start(localstack, create(localstack, machine(P=parallel, Caught={"Type": "Succeed"})))
    failed = end(localstack, execution, seconds=120)

    cause = f"The execution reached the maximum number of history events ({MOST_EVENTS})."
    assert (failed["status"], failed["error"], failed["cause"]) == ("FAILED", "States.Runtime", cause)
    last = client.get_execution_history(executionArn=execution, reverseOrder=True)["events"][0]
    assert (last["id"], last["type"]) == (MOST_EVENTS, "ExecutionFailed")
    assert last["executionFailedEventDetails"]["cause"] == cause
    assert failed["redriveStatus"] == "NOT_REDRIVABLE"
    with pytest.raises(client.exceptions.ExecutionNotRedrivable):
        client.redrive_execution(executionArn=execution)

"""Step Functions: definitions that are refused, errors by name, variables without Java, and redriven executions."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness import Instance, archive, unique, wait_until
from state_machines import PASS, choice, create, end, machine, run, start

ONE = {"Variable": "$.a", "NumericEquals": 1, "Next": "A"}


def test_a_choice_without_a_match_fails_with_its_own_error(localstack: Instance) -> None:
    definition = machine(C=choice(ONE), A=PASS)

    failed = run(localstack, definition, {"a": 2})

    assert (failed["status"], failed["error"]) == ("FAILED", "States.NoChoiceMatched")
    assert "the state 'C' (entered at the event id #2)" in failed["cause"]
    assert run(localstack, definition, {"a": 1})["status"] == "SUCCEEDED"


def test_a_choice_without_a_match_is_caught_by_its_name_around_it(localstack: Instance) -> None:
    parallel = {
        "Type": "Parallel",
        "Branches": [machine(C=choice(ONE), A=PASS)],
        "Catch": [{"ErrorEquals": ["States.NoChoiceMatched"], "Next": "Caught"}],
        "End": True,
    }

    caught = run(localstack, machine(P=parallel, Caught=PASS), {"a": 2})

    assert json.loads(caught["output"])["Error"] == "States.NoChoiceMatched"


@pytest.mark.parametrize("kind", ["Parallel", "Map"])
def test_a_timeout_in_a_branch_is_caught_around_it(localstack: Instance, kind: str) -> None:
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "TimeoutSeconds": 1,
        "End": True,
    }
    within: dict[str, dict[str, Any]] = {
        "Parallel": {"Branches": [machine(T=waiting), machine(B=PASS)]},
        "Map": {"ItemProcessor": machine(T=waiting)},
    }
    catch = [{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}]
    state: dict[str, Any] = {"Type": kind, **within[kind], "Catch": catch, "End": True}

    caught = run(localstack, machine(P=state, Caught=PASS), [1])

    assert json.loads(caught["output"])["Error"] == "States.Timeout"


def test_variables_are_read_in_every_kind_of_reference(localstack: Instance) -> None:
    definition = machine(
        Set={"Type": "Pass", "Assign": {"order.$": "$", "limit": 10}, "Next": "C"},
        C=choice(
            {
                "Variable": "$order.items[0].price",
                "NumericGreaterThanPath": "$limit",
                "Assign": {"kind": "large"},
                "Next": "Read",
            },
            Default="Small",
            Assign={"kind": "small"},
        ),
        Small={"Type": "Pass", "Next": "Read"},
        Read={
            "Type": "Pass",
            "Parameters": {
                "id.$": "$order.id",
                "kind.$": "$kind",
                "all.$": "$order.items[*].price",
                "text.$": "States.Format('{}-{}', $order.id, $limit)",
            },
            "Next": "Each",
        },
        Each={
            "Type": "Map",
            "ItemsPath": "$order.items",
            "ItemSelector": {"price.$": "$$.Map.Item.Value.price", "limit.$": "$limit"},
            "ItemProcessor": machine(Item=PASS),
            "ResultPath": "$.each",
            "End": True,
        },
    )
    given = {"id": "o-1", "items": [{"price": 20}, {"price": 3}]}

    large = json.loads(run(localstack, definition, given)["output"])
    small = json.loads(run(localstack, definition, given | {"items": [{"price": 3}]})["output"])

    assert large == {
        "id": "o-1",
        "kind": "large",
        "all": [20, 3],
        "text": "o-1-10",
        "each": [{"price": 20, "limit": 10}, {"price": 3, "limit": 10}],
    }
    assert (small["kind"], small["all"]) == ("small", [3])


CATCH_ALL = {"ErrorEquals": ["States.ALL"], "Next": "A"}
TASK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {}, "End": True}


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        (
            machine(A={"Type": "Pass", "Next": "B"}),
            [("MISSING_TRANSITION_TARGET", "Missing 'Next' target: B", "/States/A/Next")],
        ),
        (
            machine(A=PASS, B=PASS),
            [("MISSING_TRANSITION_TARGET", 'State "B" is not reachable.', "/States/B")],
        ),
        (
            {"StartAt": "Z", "States": {"A": {"Type": "Pass", "Next": "A"}}},
            [("MISSING_TRANSITION_TARGET", "Missing 'StartAt' target: Z", "/StartAt")],
        ),
        (
            machine(A={"Type": "Pass"}),
            [("SCHEMA_VALIDATION_FAILED", "The field Next or End is required", "/States/A")],
        ),
        (
            machine(C=choice(ONE, Default="B"), A=PASS),
            [("MISSING_TRANSITION_TARGET", "Missing 'Default' target: B", "/States/C/Default")],
        ),
        (
            machine(T={**TASK, "Catch": [CATCH_ALL, {"ErrorEquals": ["X"], "Next": "A"}]}, A=PASS),
            [
                (
                    "SCHEMA_VALIDATION_FAILED",
                    "States.ALL is only allowed in the last element of Catch",
                    "/States/T/Catch[0]",
                )
            ],
        ),
        (
            machine(P={"Type": "Parallel", "Branches": [machine(A=PASS)], "Next": "A"}, A=PASS),
            [("SCHEMA_VALIDATION_FAILED", "Duplicate State name: A", "/States")],
        ),
        (
            machine(P={"Type": "Parallel", "Branches": [machine(X={"Type": "Pass", "Next": "P"})], "End": True}),
            [
                (
                    "MISSING_TRANSITION_TARGET",
                    "Missing 'Next' target: P",
                    "/States/P/Branches[0]/States/X/Next",
                )
            ],
        ),
    ],
)
def test_states_that_do_not_fit_together_are_refused(
    localstack: Instance, definition: Any, found: list[tuple[str, str, str]]
) -> None:
    client = localstack.client("stepfunctions")
    arn = create(localstack, machine(A=PASS))

    with pytest.raises(ClientError) as created:
        create(localstack, definition)
    with pytest.raises(ClientError) as updated:
        client.update_state_machine(stateMachineArn=arn, definition=json.dumps(definition))
    validated = client.validate_state_machine_definition(definition=json.dumps(definition))

    text = ", ".join(f"{code}: {message} at {location}" for code, message, location in found)
    for refused in (created, updated):
        assert refused.value.response["Error"] == {
            "Code": "InvalidDefinition",
            "Message": f"Invalid State Machine Definition: '{text}'",
        }
    assert validated["result"] == "FAIL"
    assert [(problem["code"], problem["message"], problem["location"]) for problem in validated["diagnostics"]] == found


def test_a_definition_that_breaks_the_grammar_is_refused(localstack: Instance) -> None:
    client = localstack.client("stepfunctions")

    with pytest.raises(client.exceptions.InvalidDefinition):
        create(localstack, machine(A={"Type": "Nothing", "End": True}))

    validated = client.validate_state_machine_definition(definition='{"StartAt": "A", "States": {"A": 1}}')
    assert (validated["result"], len(validated["diagnostics"])) == ("FAIL", 1)
    assert client.validate_state_machine_definition(definition=json.dumps(machine(A=PASS)))["result"] == "OK"


TASK_ALONE = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {}, "Next": "Elsewhere"}


@pytest.mark.parametrize(
    ("state", "settings", "found"),
    [
        ({"Type": "Pass", "Next": "Elsewhere"}, {}, {"status": "SUCCEEDED", "nextState": "Elsewhere"}),
        (choice(ONE, Default="B"), {}, {"status": "SUCCEEDED", "nextState": "A"}),
        ({"Type": "Fail", "Error": "E", "Cause": "C"}, {}, {"status": "FAILED", "error": "E", "cause": "C"}),
        (
            TASK_ALONE,
            {"mock": {"result": '{"MessageId": "m", "MD5OfMessageBody": "d"}'}},
            {"status": "SUCCEEDED", "nextState": "Elsewhere"},
        ),
        (
            {**TASK_ALONE, "Catch": [{"ErrorEquals": ["E"], "Next": "Caught"}]},
            {"mock": {"errorOutput": {"error": "E", "cause": "C"}}},
            {"status": "CAUGHT_ERROR", "error": "E", "nextState": "Caught"},
        ),
        (machine(A=PASS, B={"Type": "Pass", "End": True}), {"stateName": "B"}, None),
        (machine(A={"Type": "Pass", "Next": "B"}, B=PASS), {"stateName": "A"}, {"nextState": "B"}),
    ],
    ids=["pass", "choice", "fail", "mocked result", "mocked error", "a machine that is wrong", "one of a machine"],
)
def test_a_state_is_tested_alone_or_in_its_machine(
    localstack: Instance, state: Any, settings: Any, found: dict[str, Any] | None
) -> None:
    """One state whose targets are elsewhere, or a machine that fits together and the name of one of its states.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html
    """
    client = localstack.client("stepfunctions")

    def tested() -> dict[str, Any]:
        output: dict[str, Any] = client.test_state(definition=json.dumps(state), input='{"a": 1}', **settings)
        return output

    if found is None:
        with pytest.raises(client.exceptions.InvalidDefinition, match='State "B" is not reachable'):
            tested()
    else:
        assert {key: value for key, value in tested().items() if key in found} == found


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout", "States.ALL"])
def test_a_missed_heartbeat_is_caught(localstack: Instance, name: str) -> None:
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "HeartbeatSeconds": 1,
        "Catch": [{"ErrorEquals": [name], "Next": "A"}],
        "End": True,
    }

    assert run(localstack, machine(T=waiting, A=PASS))["status"] == "SUCCEEDED"


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout"])
def test_a_missed_heartbeat_of_an_activity_is_caught(localstack: Instance, name: str) -> None:
    client = localstack.client("stepfunctions")
    activity = client.create_activity(name=unique("activity"))["activityArn"]
    waiting = {
        "Type": "Task",
        "Resource": activity,
        "HeartbeatSeconds": 1,
        "Catch": [{"ErrorEquals": [name], "Next": "A"}],
        "End": True,
    }

    execution = start(localstack, create(localstack, machine(T=waiting, A=PASS)))
    assert client.get_activity_task(activityArn=activity)["taskToken"]

    assert end(localstack, execution)["status"] == "SUCCEEDED"


def test_a_timeout_is_no_missed_heartbeat(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "TimeoutSeconds": 1,
        "Catch": [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "A"}],
        "End": True,
    }

    failed = run(localstack, machine(T=waiting, A=PASS))

    assert (failed["status"], failed["error"]) == ("FAILED", "States.Timeout")


def test_a_failed_execution_is_redriven_from_the_state_that_failed(localstack: Instance) -> None:
    client = localstack.client("stepfunctions")
    # Given: a second state that fails until its function is repaired
    function = localstack.create_function("def handler(event, context):\n    raise ValueError(event)")
    arn = localstack.client("lambda").get_function_configuration(FunctionName=function)["FunctionArn"]
    definition = machine(
        First={
            "Type": "Pass",
            "Assign": {"kept": "v"},
            "Parameters": {"time.$": "$$.State.EnteredTime", "given.$": "$"},
            "Next": "Second",
        },
        Second={
            "Type": "Task",
            "Resource": arn,
            "ResultPath": "$.second",
            "Retry": [{"ErrorEquals": ["ValueError"], "MaxAttempts": 1, "IntervalSeconds": 1}],
            "Next": "Third",
        },
        Third={
            "Type": "Pass",
            "Parameters": {"kept.$": "$kept", "from.$": "$", "count.$": "$$.Execution.RedriveCount"},
            "End": True,
        },
    )
    execution = start(localstack, create(localstack, definition), {"id": 1})
    failed = end(localstack, execution)
    assert (failed["status"], failed["redriveStatus"], failed["redriveCount"]) == ("FAILED", "REDRIVABLE", 0)
    before = client.get_execution_history(executionArn=execution)["events"]

    # When
    repaired = archive({"app.py": "def handler(event, context): return 'done'"})
    functions = localstack.client("lambda")
    functions.update_function_code(FunctionName=function, ZipFile=repaired)
    functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    redriven = client.redrive_execution(executionArn=execution, clientToken="once")
    assert (
        client.redrive_execution(executionArn=execution, clientToken="once")["redriveDate"] == (redriven["redriveDate"])
    )
    succeeded = end(localstack, execution)

    # Then
    assert succeeded["status"] == "SUCCEEDED", succeeded
    output = json.loads(succeeded["output"])
    assert (output["kept"], output["count"]) == ("v", 1)
    assert output["from"]["given"] == {"id": 1}
    assert output["from"]["second"] == "done"
    assert (succeeded["redriveCount"], succeeded["redriveStatus"]) == (1, "NOT_REDRIVABLE")
    assert succeeded["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    assert succeeded["redriveDate"] == redriven["redriveDate"]
    assert "error" not in succeeded
    history = client.get_execution_history(executionArn=execution)["events"]
    assert history[: len(before)] == before
    following = [event["type"] for event in history[len(before) :]]
    assert following[0] == "ExecutionRedriven"
    assert history[len(before)]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    names = [event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event]
    assert names == ["First", "Second", "Second", "Third"]


def test_a_stopped_execution_is_redriven(localstack: Instance) -> None:
    client = localstack.client("stepfunctions")
    waiting = machine(W={"Type": "Wait", "SecondsPath": "$.seconds", "Next": "A"}, A=PASS)
    execution = start(localstack, create(localstack, waiting), {"seconds": 6})
    wait_until(lambda: len(client.get_execution_history(executionArn=execution)["events"]) == 2)
    with pytest.raises(client.exceptions.ExecutionNotRedrivable) as running:
        client.redrive_execution(executionArn=execution)
    client.stop_execution(executionArn=execution)
    assert end(localstack, execution)["status"] == "ABORTED"

    client.redrive_execution(executionArn=execution)

    assert running.value.response["Error"]["Message"] == "Execution is RUNNING and cannot be redriven"
    assert end(localstack, execution)["status"] == "SUCCEEDED"


def test_a_token_from_before_a_redrive_is_closed_and_the_new_one_is_good(localstack: Instance) -> None:
    """TaskTimedOut is of a task that was closed already, InvalidToken of a token that is none.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
    """
    client, sqs = localstack.client("stepfunctions"), localstack.client("sqs")
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "End": True,
    }
    execution = start(localstack, create(localstack, machine(T=waiting)), {})

    def token() -> str:
        found: str = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]["Body"]
        return found

    old = token()
    client.stop_execution(executionArn=execution)
    assert end(localstack, execution)["status"] == "ABORTED"
    client.redrive_execution(executionArn=execution)
    new = token()

    for answer in (client.send_task_heartbeat, client.send_task_failure):
        with pytest.raises(client.exceptions.TaskTimedOut):
            answer(taskToken=old)
    with pytest.raises(client.exceptions.TaskTimedOut):
        client.send_task_success(taskToken=old, output="{}")
    client.send_task_success(taskToken=new, output='"done"')
    assert json.loads(end(localstack, execution)["output"]) == "done"


def test_an_execution_that_is_about_to_begin_is_in_nobodys_way(localstack: Instance) -> None:
    """Its definition is large, and read before its first event."""
    client, sqs = localstack.client("stepfunctions"), localstack.client("sqs")
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "End": True,
    }
    execution = start(localstack, create(localstack, machine(T=waiting)), {})
    token = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]["Body"]
    steps = {f"P{number}": {"Type": "Pass", "Next": f"P{number + 1}"} for number in range(500)}
    large = create(localstack, machine(**steps, P500={"Type": "Succeed"}))

    beginning = start(localstack, large, {})

    assert client.list_map_runs(executionArn=beginning)["mapRuns"] == []
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_map_run(mapRunArn=f"{beginning.replace(':execution:', ':mapRun:')}/run:one")
    client.send_task_heartbeat(taskToken=token)
    client.send_task_success(taskToken=token, output='"done"')
    assert json.loads(end(localstack, execution)["output"]) == "done"
    assert end(localstack, beginning)["status"] == "SUCCEEDED"


def test_a_parallel_state_is_not_redriven_and_says_so(localstack: Instance) -> None:
    client = localstack.client("stepfunctions")
    branch = machine(F={"Type": "Fail", "Error": "E"})
    execution = start(
        localstack, create(localstack, machine(P={"Type": "Parallel", "Branches": [branch], "End": True}))
    )
    end(localstack, execution)

    with pytest.raises(client.exceptions.ExecutionNotRedrivable) as refused:
        client.redrive_execution(executionArn=execution)

    assert "Parallel" in refused.value.response["Error"]["Message"]


def test_a_task_token_is_good_for_one_answer_in_time(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html"""
    client, sqs = localstack.client("stepfunctions"), localstack.client("sqs")
    url, _ = localstack.create_queue()
    waiting = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": url, "MessageBody.$": "$$.Task.Token"},
        "TimeoutSecondsPath": "$.timeout",
        "Catch": [{"ErrorEquals": ["States.Timeout"], "ResultPath": None, "Next": "W"}],
        "ResultPath": None,
        "Next": "W",
    }
    arn = create(localstack, machine(T=waiting, W={"Type": "Wait", "SecondsPath": "$.wait", "End": True}))

    def token() -> str:
        found: str = wait_until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))[0]["Body"]
        return found

    def refused(token: str) -> list[str]:
        codes = []
        for send in (client.send_task_heartbeat, client.send_task_success, client.send_task_failure):
            with pytest.raises(ClientError) as error:
                send(taskToken=token, **({"output": "{}"} if send == client.send_task_success else {}))
            codes.append(error.value.response["Error"]["Code"])
        return codes

    answered = start(localstack, arn, {"timeout": 60, "wait": 3})
    first = token()
    client.send_task_success(taskToken=first, output="{}")
    timed_out = start(localstack, arn, {"timeout": 1, "wait": 60})
    second = token()
    wait_until(lambda: len(client.get_execution_history(executionArn=timed_out)["events"]) > 6)

    assert client.describe_execution(executionArn=timed_out)["status"] == "RUNNING"
    assert refused(first) == refused(second) == ["TaskTimedOut"] * 3
    end(localstack, answered)
    assert refused(first) == ["TaskTimedOut"] * 3
    with pytest.raises(client.exceptions.InvalidToken):
        client.send_task_success(taskToken="made-up", output="{}")


def test_executions_are_counted_by_how_they_end(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    failing = machine(
        C=choice(ONE, Default="F"),
        A=PASS,
        F={"Type": "Fail", "Error": "E"},
        W={"Type": "Wait", "Seconds": 60, "End": True},
    )
    failing["States"]["C"]["Choices"].append({"Variable": "$.a", "NumericEquals": 3, "Next": "W"})
    failing["TimeoutSeconds"] = 4
    arn = create(localstack, failing)
    for given in (1, 1, 2, 3):
        end(localstack, start(localstack, arn, {"a": given}))

    def counted(metric: str) -> list[float]:
        now = datetime.now(UTC)
        points = localstack.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/States", MetricName=metric, Dimensions=[{"Name": "StateMachineArn", "Value": arn}],
            StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5), Period=600, Statistics=["Sum"],
        )["Datapoints"]  # fmt: skip
        return [point["Sum"] for point in points]

    wait_until(lambda: counted("ExecutionsTimedOut") == [1])  # the last one to end
    assert counted("ExecutionsStarted") == [4]
    assert counted("ExecutionsSucceeded") == [2]
    assert counted("ExecutionsFailed") == [1]
    assert counted("ExecutionsAborted") == []
    assert sum(counted("ExecutionTime")) >= 4000


def test_an_execution_name_is_taken_once(localstack: Instance) -> None:
    """SFN-6; LocalStack does this by itself."""
    client, arn = localstack.client("stepfunctions"), create(localstack, machine(A=PASS))
    execution = start(localstack, arn, {"k": 1}, name="once")
    end(localstack, execution)

    with pytest.raises(client.exceptions.ExecutionAlreadyExists):
        start(localstack, arn, {"k": 1}, name="once")


@pytest.mark.parametrize("size", [262_000, 262_200])
def test_a_state_takes_at_most_256_kilobytes(localstack: Instance, size: int) -> None:
    """SFN-7; LocalStack does this by itself, give or take a few bytes."""
    half = "x" * (size // 2)
    definition = machine(A={"Type": "Pass", "Parameters": {"a.$": "$.h", "b.$": "$.h"}, "End": True})

    ended = run(localstack, definition, {"h": half})

    assert ended.get("error") == ("States.DataLimitExceeded" if size > 262_144 - 30 else None)

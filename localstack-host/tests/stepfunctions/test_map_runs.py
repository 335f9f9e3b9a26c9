"""Distributed Map: how many items may fail, what is counted, and items in batches.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html
"""

import json
from itertools import pairwise
from typing import Any

import pytest
from harness import ROLE, Instance, unique, wait_until
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.stepfunctions.item_batches import batcher_problems, batches, exceeded, size
from state_machines import PASS, choice, create, end, machine, run, start

# A child that fails if its input says so, and passes its input on otherwise.
CHILD = machine(
    C=choice({"Variable": "$.fails", "BooleanEquals": True, "Next": "F"}, Default="P"),
    F={"Type": "Fail", "Error": "Own"},
    P=PASS,
)


def distributed(child: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A machine whose state M is a distributed Map."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    return machine(
        M={
            "Type": "Map",
            "ItemProcessor": {"ProcessorConfig": config, **child},
            "MaxConcurrency": 1,
            **fields,
            "End": True,
        }
    )


def items(*fails: int) -> list[dict[str, Any]]:
    """Ten items, of which those with these numbers fail."""
    return [{"n": number, "fails": number in fails} for number in range(10)]


@pytest.mark.parametrize(
    ("failed", "tolerated", "percentage", "fails"),
    [
        (0, 0, 0, False),
        (1, 0, 0, True),
        (2, 2, 0, False),
        (3, 2, 0, True),
        (2, 0, 20, False),
        (3, 0, 20, True),
        (2, 1, 50, True),
        (6, 9, 50, True),
        (2, 2, 50, False),
        (10, 0, 100, False),
    ],
)
def test_a_threshold_is_exceeded_by_one_more(failed: int, tolerated: int, percentage: int, fails: bool) -> None:
    assert exceeded(failed, 10, tolerated, percentage) == fails


@given(st.lists(st.text(max_size=40) | st.integers()), st.integers(1, 9), st.integers(60, 300))
def test_batches_have_all_items_within_their_limits(given: list[Any], most_items: int, most_bytes: int) -> None:
    found = batches(given, {"of": "all"}, most_items, most_bytes)

    assert [item for batch in found for item in batch["Items"]] == given
    for batch in found:
        assert batch["BatchInput"] == {"of": "all"}
        assert 1 <= len(batch["Items"]) <= most_items
        assert len(batch["Items"]) == 1 or size(batch) <= most_bytes
    for batch, following in pairwise(found):
        larger = {**batch, "Items": [*batch["Items"], following["Items"][0]]}
        assert len(larger["Items"]) > most_items or size(larger) > most_bytes


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"ItemBatcher": {}}, "needs MaxItemsPerBatch"),
        ({"ItemBatcher": {"MaxItemsPerBatch": 0}}, "positive integer"),
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 262_145}}, "262144 at most"),
        ({"ItemBatcher": {"MaxItemsPerBatchPath": "$.n"}}, None),
        ({"ItemBatcher": {"MaxItemsPerBatch": "{% $n %}"}}, None),
        ({}, None),
    ],
)
def test_a_batcher_has_a_limit(fields: dict[str, Any], part: str | None) -> None:
    found = list(batcher_problems(distributed(CHILD, **fields)["States"]["M"]))

    assert bool(found) == bool(part)
    assert part is None or part in found[0]
    if fields:
        assert "DISTRIBUTED" in next(batcher_problems({"Type": "Map", "ItemProcessor": CHILD, **fields}))


def map_run(localstack: Instance, execution: str) -> dict[str, Any]:
    client = localstack.client("stepfunctions")
    (found,) = client.list_map_runs(executionArn=execution)["mapRuns"]
    output: dict[str, Any] = client.describe_map_run(mapRunArn=found["mapRunArn"])
    return output


def counts(described: dict[str, Any], of: str) -> dict[str, int]:
    """Those counts that are not 0, without the results that were written."""
    return {name: n for name, n in described[of].items() if n and name != "resultsWritten"}


@pytest.mark.parametrize(
    ("fields", "failing", "fails"),
    [
        ({}, [4], True),
        ({"ToleratedFailureCount": 2}, [1, 4], False),
        ({"ToleratedFailureCount": 1}, [1, 4], True),
        ({"ToleratedFailurePercentage": 20}, [1, 4], False),
        ({"ToleratedFailurePercentage": 12.5}, [1, 4], True),
        ({"ToleratedFailureCountPath": "$.n"}, [1, 4], False),
        ({"ToleratedFailurePercentage": 100}, range(10), False),
    ],
    ids=["none", "count", "one more", "percentage", "above the percentage", "by a path", "all"],
)
def test_as_many_failures_are_tolerated_as_the_state_says(
    localstack: Instance, fields: dict[str, Any], failing: Any, fails: bool
) -> None:
    """A Map Run that fails stops: what did not begin does not."""
    definition = distributed(CHILD, ItemsPath="$.items", **fields)
    execution = start(localstack, create(localstack, definition), {"items": items(*failing), "n": 2})
    ended = end(localstack, execution)
    described = map_run(localstack, execution)

    if fails:
        assert ended["error"] == "States.ExceedToleratedFailureThreshold"
        assert ended["cause"] == "The specified tolerated failure threshold was exceeded"
        before = 5 - len(failing)  # the last that fails is the fifth item
        expected = {"total": 10, "succeeded": before, "failed": len(failing), "aborted": 5}
    else:
        assert [item["n"] for item in json.loads(ended["output"])] == [n for n in range(10) if n not in failing]
        expected = {"total": 10, "succeeded": 10 - len(failing), "failed": len(failing)}
    assert described["status"] == ("FAILED" if fails else "SUCCEEDED")
    for of in ("itemCounts", "executionCounts"):
        assert counts(described, of) == {name: n for name, n in expected.items() if n}


@pytest.mark.parametrize(
    "tolerated",
    [{"ToleratedFailureCount": "{% 1 + 1 %}"}, {"ToleratedFailurePercentage": "{% 20 + 0.5 %}"}],
    ids=["count", "percentage"],
)
def test_a_threshold_in_jsonata(localstack: Instance, tolerated: dict[str, str]) -> None:
    child = machine(
        C=choice({"Condition": "{% $states.input.fails %}", "Next": "F"}, Default="P"), F={"Type": "Fail"}, P=PASS
    )
    definition = distributed(child, Items="{% $states.input %}", Output="{% $count($states.result) %}", **tolerated)

    ended = run(localstack, {"QueryLanguage": "JSONata", **definition}, items(1, 4))

    assert ended["output"] == "8"
    assert run(localstack, {"QueryLanguage": "JSONata", **definition}, items(1, 2, 4))["status"] == "FAILED"


def test_an_exceeded_threshold_is_caught_by_its_name(localstack: Instance) -> None:
    definition = distributed(
        CHILD, Catch=[{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "Next": "Caught"}]
    )
    definition["States"]["Caught"] = PASS

    caught = run(localstack, definition, items(0))

    assert json.loads(caught["output"])["Error"] == "States.ExceedToleratedFailureThreshold"


def test_children_that_run_are_counted_and_stopped(localstack: Instance) -> None:
    child = machine(
        C=choice({"Variable": "$.fails", "BooleanEquals": True, "Next": "Soon"}, Default="W"),
        Soon={"Type": "Wait", "Seconds": 3, "Next": "F"},
        F={"Type": "Fail"},
        W={"Type": "Wait", "Seconds": 600, "End": True},
    )
    definition = distributed(child, MaxConcurrency=2)
    execution = start(localstack, create(localstack, definition), items(0))

    def running() -> bool:
        found = localstack.client("stepfunctions").list_map_runs(executionArn=execution)["mapRuns"]
        return bool(found) and map_run(localstack, execution)["itemCounts"]["running"] == 2

    wait_until(running)
    assert counts(map_run(localstack, execution), "executionCounts") == {"total": 10, "running": 2, "pending": 8}
    assert end(localstack, execution)["error"] == "States.ExceedToleratedFailureThreshold"
    stopped = {"total": 10, "failed": 1, "aborted": 9}
    wait_until(lambda: counts(map_run(localstack, execution), "itemCounts") == stopped)


def test_a_threshold_that_is_raised_meanwhile_counts(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateMapRun.html"""
    client = localstack.client("stepfunctions")
    child = machine(
        C=choice({"Variable": "$.fails", "BooleanEquals": True, "Next": "Soon"}, Default="P"),
        Soon={"Type": "Wait", "Seconds": 5, "Next": "F"},
        F={"Type": "Fail"},
        P=PASS,
    )
    execution = start(localstack, create(localstack, distributed(child)), items(0))
    (run,) = wait_until(lambda: client.list_map_runs(executionArn=execution)["mapRuns"])

    client.update_map_run(mapRunArn=run["mapRunArn"], toleratedFailureCount=1)

    assert map_run(localstack, execution)["toleratedFailureCount"] == 1
    assert end(localstack, execution)["status"] == "SUCCEEDED"
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.update_map_run(mapRunArn=f"{run['mapRunArn']}-2", toleratedFailureCount=1)


def test_what_is_read_is_handed_on_in_batches(localstack: Instance) -> None:
    bucket = unique("items")
    localstack.client("s3").create_bucket(Bucket=bucket)
    localstack.client("s3").put_object(Bucket=bucket, Key="items.json", Body=json.dumps(items(6)).encode())
    child = machine(
        C=choice({"Variable": "$.Items[0].seen", "NumericEquals": 6, "Next": "F"}, Default="P"),
        F={"Type": "Fail"},
        P=PASS,
    )
    definition = distributed(
        child,
        ItemReader={
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.bucket", "Key": "items.json"},
        },
        ItemSelector={"seen.$": "$$.Map.Item.Value.n", "bucket.$": "$.bucket"},
        ItemBatcher={"MaxItemsPerBatchPath": "$.most", "BatchInput": {"from.$": "$.bucket", "kind": "all"}},
        ToleratedFailureCount=3,
    )
    execution = start(localstack, create(localstack, definition), {"bucket": bucket, "most": 3})

    outputs = json.loads(end(localstack, execution)["output"])

    assert [[item["seen"] for item in output["Items"]] for output in outputs] == [[0, 1, 2], [3, 4, 5], [9]]
    assert outputs[0]["BatchInput"] == {"from": bucket, "kind": "all"}
    assert outputs[0]["Items"][0] == {"seen": 0, "bucket": bucket}
    described = map_run(localstack, execution)
    assert counts(described, "itemCounts") == {"total": 10, "succeeded": 7, "failed": 3}
    assert counts(described, "executionCounts") == {"total": 4, "succeeded": 3, "failed": 1}


def test_batches_in_jsonata(localstack: Instance) -> None:
    definition = distributed(
        machine(P=PASS),
        Items="{% [1..5] %}",
        ItemBatcher={"MaxItemsPerBatch": "{% $states.input.most %}", "BatchInput": "{% $states.input.most %}"},
    )
    whole = {"QueryLanguage": "JSONata", **definition}

    assert json.loads(run(localstack, whole, {"most": 4})["output"]) == [
        {"BatchInput": 4, "Items": [1, 2, 3, 4]},
        {"BatchInput": 4, "Items": [5]},
    ]
    refused, undefined = run(localstack, whole, {"most": 0}), run(localstack, whole, {})
    assert (refused["error"], undefined["error"]) == ("States.QueryEvaluationError", "States.QueryEvaluationError")
    assert "specified for the field 'ItemBatcher/MaxItemsPerBatch'" in undefined["cause"]


def test_the_older_name_of_the_processor(localstack: Instance) -> None:
    definition = distributed(CHILD, ItemBatcher={"MaxInputBytesPerBatch": 60})
    state = definition["States"]["M"]
    state["Iterator"] = {**state.pop("ItemProcessor"), **machine(P=PASS)}

    outputs = json.loads(run(localstack, definition, ["x" * 20] * 3)["output"])

    assert outputs == [{"Items": ["x" * 20] * 2}, {"Items": ["x" * 20]}]


def test_a_batcher_without_a_limit_is_refused(localstack: Instance) -> None:
    client = localstack.client("stepfunctions")

    with pytest.raises(client.exceptions.InvalidDefinition, match="ItemBatcher needs"):
        create(localstack, distributed(CHILD, ItemBatcher={"BatchInput": {}}))


def test_a_state_beside_batches_is_tested(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_TestState.html"""
    definition = distributed(CHILD, ItemBatcher={"MaxItemsPerBatch": 2})
    definition["States"] |= {"A": {"Type": "Pass", "Next": "M"}}
    definition["StartAt"] = "A"

    tested = localstack.client("stepfunctions").test_state(
        definition=json.dumps(definition), stateName="A", roleArn=ROLE, input="{}"
    )

    assert (tested["status"], tested["nextState"]) == ("SUCCEEDED", "M")

"""JSONata: the expressions of AWS's functions and errors, where they stand in a state, and what a definition may say.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import copy
import json
import re
from typing import Any

import pytest
from harness import Instance
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.stepfunctions.jsonata import QueryError, evaluate, problems
from localstack_host.stepfunctions.jsonata_fields import checked, expression_problems
from state_machines import create, end, machine, run, start

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=8,
)


def value(expression: str, **variables: Any) -> Any:
    """The value of an expression, or the text of its error."""
    try:
        return evaluate(expression, variables)
    except QueryError as error:
        return str(error)


@given(JSON)
def test_a_variable_has_the_value_that_was_assigned(given: Any) -> None:
    """Also null, quotation marks, and what looks like an expression; and nothing is changed by looking at it."""
    before = copy.deepcopy(given)

    assert value("$x", x=given) == before
    assert value("{'inner': {'x': $x}}", x=given) == {"inner": {"x": before}}
    assert value("$states.input.x", states={"input": {"x": given}}) == before
    assert value("$parse($string({'x': $x})).x", x=given) == before
    assert given == before


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$partition([1,2,3,4,5], 2)", [[1, 2], [3, 4], [5]]),
        ("$partition([], 2)", []),
        ("$partition([1], 0)", "threw an error: $partition takes an array and a positive integer"),
        ("$range(0, 10, 2)", [0, 2, 4, 6, 8, 10]),
        ("$range(0, 9, 2)", [0, 2, 4, 6, 8]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        ("$range(3, 1, 1)", []),
        ("$range(1, 3, 0)", "threw an error: $range takes three numbers, the last of which is not 0"),
        ("$hash('x', 'MD5')", "9dd4e461268c8034f5c8564e155c67a6"),
        ("$hash('x', 'SHA-1')", "11f6ad8ec52a2984abaafd7c3b516503785c2072"),
        ("$length($hash('x', 'SHA-256'))", 64),
        ("$length($hash('x', 'SHA-384'))", 96),
        ("$length($hash('x', 'SHA-512'))", 128),
        ("$hash('x', 'CRC')", "threw an error: $hash takes a string and one of MD5, SHA-1, SHA-256, SHA-384, SHA-512"),
        ("$random(7) = $random(7)", True),
        ("$random() = $random()", False),
        ("$random(7) >= 0 and $random(7) < 1", True),
        ("$uuid() = $uuid()", False),
        ("""$parse('{"a": [1, null]}')""", {"a": [1, None]}),
        ("$parse('null')", None),
        ("$type($parse('null'))", "null"),
        ("$parse('NaN')", "threw an error: NaN is not JSON"),
        ("$type($parse('{'))", "threw an error: Expecting property name enclosed in double quotes: line 1 column 2"),
    ],
)
def test_the_functions_that_step_functions_adds(expression: str, expected: Any) -> None:
    found = value(expression)

    assert found.startswith(expected) if str(expected).startswith("threw") else found == expected
    if expression.startswith("$uuid"):
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value("$uuid()"))


@given(st.lists(st.integers()), st.integers(1, 9))
def test_parts_of_an_array_make_the_array(array: list[int], size: int) -> None:
    parts = value("$partition($a, $n)", a=array, n=size)

    assert [element for part in parts for element in part] == array
    assert all(len(part) == size for part in parts[:-1])
    assert all(1 <= len(part) <= size for part in parts)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$missing", "returned nothing (undefined)."),
        ("$x.missing", "returned nothing (undefined)."),
        ("$x.none", None),
        ("$exists($x.none)", True),
        ("{'none': $x.none, 'missing': $x.missing}", {"none": None}),
        ("$x.a + $x.text", "threw an error: T2002:"),
        ("$sum($x.text)", "threw an error: T0412:"),
        ("1 / 0", "threw an error: D1001:"),
        ("$error('stop')", "threw an error: D3137: stop"),
        ("$nosuch(1)", "threw an error: T1006:"),
        ("$uuid", "returned an unsupported result type."),
        ("[function($v) { $v }]", "returned an unsupported result type."),
        ("($f := function($n) { 1 + $f($n) }; $f(1))", "threw an error:"),
    ],
)
def test_what_has_no_value_is_an_error(expression: str, expected: Any) -> None:
    """Null is a value, undefined is none."""
    found = value(expression, x={"a": 1, "none": None, "text": "t"})

    assert found.startswith(expected) if isinstance(expected, str) else found == expected


def test_an_expression_without_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localstack_host.stepfunctions.jsonata.LONGEST_MS", 50)

    assert value("($f := function($n) { $f($n + 1) }; $f(1))").startswith("threw an error: D1012:")


@pytest.mark.parametrize(
    ("place", "given", "expected"),
    [
        ("TimeoutSeconds", 1, 1),
        ("TimeoutSeconds", 0, "out of range"),
        ("TimeoutSeconds", "1", "Expected 'number', but was 'string' for value: \"1\""),
        ("TimeoutSeconds", 1.5, "not an integer"),
        ("TimeoutSeconds", True, "Expected 'number', but was 'boolean' for value: true"),
        ("HeartbeatSeconds", 100_000_000, "out of range"),
        ("Seconds", 0, 0),
        ("Seconds", -1, "out of range"),
        ("MaxConcurrency", 0, 0),
        ("ToleratedFailureCount", -1, "out of range"),
        ("ToleratedFailurePercentage", 2.5, 2.5),
        ("ToleratedFailurePercentage", 100.5, "out of range"),
        ("Items", {"a": 1}, "Expected 'array', but was 'object' for value: {\"a\":1}"),
        ("Choices[12]/Condition", None, "Expected 'boolean', but was 'null' for value: null"),
        ("Error", 5, "Expected 'string'"),
        ("Timestamp", 5, "Expected 'string'"),
        ("Arguments/Seconds", "any", "any"),
        ("Assign/Items", None, None),
    ],
)
def test_a_field_takes_its_type_in_its_range(place: str, given: Any, expected: Any) -> None:
    try:
        found = checked(given, place)
    except QueryError as error:
        assert expected in str(error)
    else:
        assert found == expected


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("$states.input[", "is not valid"),
        ("$eval('1')", "$eval is not supported"),
        ("$x ~> $map($eval)", "$eval is not supported"),
        ("$", "refers to '$' outside"),
        ("$$.a", "refers to '$$' outside"),
        ("sku", "refers to 'sku' outside"),
        ("$states.input.a = sku", "refers to 'sku' outside"),
        ("$map($x, function($v) { sku })", "refers to 'sku' outside"),
        ("$states.result", "$states.result is not available"),
        ("{'a': [$states.errorOutput.Cause]}", "$states.errorOutput is not available"),
        ("$x.sku", None),
        ("$x[price > 3].{'sku': sku, 'self': $}", None),
        ("$x^(>price)", None),
        ("$x ~> |$|{'sku': price}|", None),
        ("$x{sku: price}", None),
        ("($evaluate := 1; $evaluate)", None),
        ("$x.states.result", None),
    ],
)
def test_what_an_expression_may_name(expression: str, part: str | None) -> None:
    found = list(problems(expression, ()))

    assert bool(found) == bool(part)
    assert part is None or part in found[0]


def state(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "QueryLanguage": "JSONata", **fields}


@pytest.mark.parametrize(
    ("definition", "place"),
    [
        (state(Output="{% $states.result %}", Assign={"a": ["{% $states.result %}"]}), None),
        (state(Arguments={"a": ["x", {"b": "{% $states.result %}"}]}), "Arguments/a[1]/b"),
        (state(Output="{% $states.errorOutput %}"), "Output"),
        (state(Catch=[{"Output": "{% $states.errorOutput %}", "Assign": {"a": "{% $states.errorOutput %}"}}]), None),
        (state(Catch=[{"Output": "{% $states.result %}"}]), "Catch[0]/Output"),
        (state(Arguments={"a": "{% 1 "}), "Arguments/a"),
        (state(Arguments={"a": "1 %}"}), "Arguments/a"),
        (state(Arguments={"a": "{% 1 %} and text"}), "Arguments/a"),
        (state(Arguments={"a": "text {% 1 %} text"}), None),
        (state(Branches=[machine(A={"Output": "{% nothing of this state %}"})]), None),
    ],
)
def test_where_a_result_and_an_error_can_be_named(definition: dict[str, Any], place: str | None) -> None:
    assert [at for _, at in expression_problems(definition)] == ([place] if place else [])


def jsonata(**states: Any) -> dict[str, Any]:
    return {"QueryLanguage": "JSONata", **machine(**states)}


def output(localstack: Instance, definition: Any, given: Any = None) -> Any:
    ended = run(localstack, definition, given)
    assert ended["status"] == "SUCCEEDED", ended
    return json.loads(ended["output"])


def test_every_kind_of_state_has_its_expressions(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html"""
    url, _ = localstack.create_queue()
    iteration = {"Type": "Pass", "Output": {"sku": "{% $states.input.sku %}", "of": "{% $order %}"}, "End": True}
    definition = jsonata(
        Set={
            "Type": "Pass",
            "Assign": {"order": "{% $states.input.id %}", "lines": {"all": ["{% $states.input.lines %}", "{literal}"]}},
            "Next": "Route",
        },
        Route={
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.total < 10 %}", "Next": "Small"},
                {
                    "Condition": "{% $sum($lines.all[0].price) >= 10 %}",
                    "Assign": {"kind": "large"},
                    "Output": {"in": "{% $states.input.id %}", "seen": "{% $exists($kind) %}"},
                    "Next": "Send",
                },
            ],
            "Default": "Small",
        },
        Small={"Type": "Fail"},
        Send={
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage",
            "Arguments": {"QueueUrl": url, "MessageBody": "{% $string({'order': $order, 'kind': $kind}) %}"},
            "TimeoutSeconds": "{% 5 * 2 %}",
            "Assign": {"message": "{% $states.result.MessageId %}"},
            "Output": {
                "sent": "{% $states.result.MessageId %}",
                "before": "{% $states.input %}",
                "kind": "{% $kind %}",
            },
            "Next": "Both",
        },
        Both={
            "Type": "Parallel",
            "Arguments": "{% $states.input.sent %}",
            "Branches": [
                machine(One={"Type": "Pass", "Output": "{% $states.input %}", "End": True}),
                machine(Two={"Type": "Succeed", "Output": "{% $states.context.State.Name %}"}),
            ],
            "Output": "{% {'same': $states.result[0] = $message, 'name': $states.result[1]} %}",
            "Next": "Wait",
        },
        Wait={"Type": "Wait", "Seconds": "{% $states.input.same ? 0 : 60 %}", "Next": "Each"},
        Each={
            "Type": "Map",
            "Items": "{% $lines.all[0] %}",
            "ItemSelector": {"sku": "{% $states.context.Map.Item.Value.sku & $states.context.Map.Item.Index %}"},
            "ItemProcessor": machine(Item=iteration),
            "MaxConcurrency": "{% 1 + 1 %}",
            "Output": {"each": "{% $states.result %}", "name": "{% $states.input.name %}"},
            "End": True,
        },
    )
    given = {"id": 'it\'s "o-1"\n$x', "total": 30, "lines": [{"sku": "a", "price": 20}, {"sku": "b", "price": 10}]}

    found = output(localstack, definition, given)

    assert found == {
        "each": [{"sku": "a0", "of": given["id"]}, {"sku": "b1", "of": given["id"]}],
        "name": "Two",
    }
    (message,) = localstack.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert json.loads(message["Body"]) == {"order": given["id"], "kind": "large"}


def test_a_state_sees_variables_as_they_were_when_it_was_entered(localstack: Instance) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html, "Evaluation order"."""
    swapped = {"a": "{% $b %}", "b": "{% $a %}"}
    definition = jsonata(
        Set={"Type": "Pass", "Assign": {"a": 1, "b": 2}, "Next": "Swap"},
        Swap={"Type": "Pass", "Assign": swapped, "Output": ["{% $a %}", "{% $b %}"], "Next": "After"},
        After={"Type": "Succeed", "Output": {"then": "{% $states.input %}", "now": ["{% $a %}", "{% $b %}"]}},
    )
    arn = start(localstack, create(localstack, definition))
    ended = end(localstack, arn)

    assert json.loads(ended["output"]) == {"then": [1, 2], "now": [2, 1]}
    history = localstack.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    left = [event["stateExitedEventDetails"] for event in history if "stateExitedEventDetails" in event]
    assert left[1]["assignedVariables"] == {"a": "2", "b": "1"}


def test_a_state_in_jsonata_among_others(localstack: Instance) -> None:
    definition = machine(
        Path={"Type": "Pass", "Parameters": {"text": "{% 1 %}"}, "Assign": {"n.$": "$$.State.Name"}, "Next": "Query"},
        Query={
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": {"text": "{% $states.input.text %}", "n": "{% $n %}", "literal": "$n", "path.$": "$.text"},
            "End": True,
        },
    )

    assert output(localstack, definition) == {"text": "{% 1 %}", "n": "Path", "literal": "$n", "path.$": "$.text"}


FAILING: dict[str, tuple[dict[str, Any], str, str]] = {
    "undefined in Output": ({"Output": {"a": ["{% $states.input.no %}"]}}, "Output/a[0]", "nothing (undefined)"),
    "throwing in Assign": ({"Assign": {"x": {"y": "{% 1 + 'a' %}"}}}, "Assign/x/y", "threw an error: T2002"),
    "in Arguments": ({"Arguments": {"MessageBody": "{% $no %}"}}, "Arguments/MessageBody", "nothing (undefined)"),
    "the type of a number": ({"TimeoutSeconds": "{% 'soon' %}"}, "TimeoutSeconds", "Expected 'number'"),
}


@pytest.mark.parametrize("fault", FAILING)
def test_a_failing_expression_of_a_task_is_caught_by_its_name(localstack: Instance, fault: str) -> None:
    fields, place, cause = FAILING[fault]
    url, _ = localstack.create_queue()
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        **fields,
        "Arguments": {"QueueUrl": url, "MessageBody": "m"} | fields.get("Arguments", {}),
        "Catch": [
            {
                "ErrorEquals": ["States.QueryEvaluationError"],
                "Assign": {"error": "{% $states.errorOutput.Error %}"},
                "Output": {"cause": "{% $states.errorOutput.Cause %}"},
                "Next": "Caught",
            }
        ],
        "End": True,
    }
    caught = {"Type": "Succeed", "Output": {"cause": "{% $states.input.cause %}", "error": "{% $error %}"}}
    arn = start(localstack, create(localstack, jsonata(T=task, Caught=caught)))

    found = json.loads(end(localstack, arn)["output"])

    assert found["error"] == "States.QueryEvaluationError"
    assert f"specified for the field '{place}'" in found["cause"]
    assert cause in found["cause"]
    assert failures(localstack, arn) == [("T", place)]


def failures(localstack: Instance, execution: str) -> list[tuple[str, str]]:
    """State and field of each EvaluationFailed in the history."""
    events = localstack.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    details: list[Any] = [event.get("evaluationFailedEventDetails") for event in events]
    return [(found["state"], found["location"]) for found in details if found]


UNCAUGHT = {
    "Pass": ({"Type": "Pass", "Output": "{% $no %}", "End": True}, "Output"),
    "Wait": ({"Type": "Wait", "Seconds": "{% -1 %}", "End": True}, "Seconds"),
    "Choice": ({"Type": "Choice", "Choices": [{"Condition": "{% 'yes' %}", "Next": "X"}]}, "Choices[0]/Condition"),
    "Fail": ({"Type": "Fail", "Error": "{% 5 %}"}, "Error"),
    "Map": ({"Type": "Map", "Items": "{% 5 %}", "ItemProcessor": machine(Y={"Type": "Succeed"}), "End": True}, "Items"),
    "Parallel": (
        {"Type": "Parallel", "Branches": [machine(Y={"Type": "Succeed"})], "Output": "{% $no %}", "End": True},
        "Output",
    ),
}


@pytest.mark.parametrize("kind", UNCAUGHT)
def test_a_failing_expression_fails_the_execution(localstack: Instance, kind: str) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_EvaluationFailedEventDetails.html"""
    failing, place = UNCAUGHT[kind]
    states = {"S": failing} | ({"X": {"Type": "Succeed"}} if kind == "Choice" else {})
    arn = start(localstack, create(localstack, jsonata(**states)))

    ended = end(localstack, arn)

    assert (ended["status"], ended["error"]) == ("FAILED", "States.QueryEvaluationError")
    assert "An error occurred while executing the state 'S' (entered at the event id #2). The JSONata" in ended["cause"]
    assert f"specified for the field '{place}'" in ended["cause"]
    assert failures(localstack, arn) == [("S", place)]


@pytest.mark.parametrize(
    "field",
    [
        {"Output": "{% $eval('1') %}"},
        {"Output": "{% sku %}"},
        {"Assign": {"a": "{% ( %}"}},
        {"InputPath": "$.a"},
        {"QueryLanguage": "JSONPath"},
    ],
    ids=str,
)
def test_a_definition_with_what_cannot_work_is_refused(localstack: Instance, field: dict[str, Any]) -> None:
    client = localstack.client("stepfunctions")

    with pytest.raises(client.exceptions.InvalidDefinition):
        create(localstack, jsonata(A={"Type": "Pass", **field, "End": True}))
    with pytest.raises(client.exceptions.InvalidDefinition):
        create(localstack, machine(A={"Type": "Pass", "Output": "{% 1 %}", "End": True}))

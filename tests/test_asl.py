"""Definitions in the Amazon States Language: rendered without Terraform, and drawn."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import asl, paths

TEMPLATE = """{
  "StartAt": "Work",
  "States": {
    "Work": {
      "Type": "Task",
      "Resource": "arn:${partition}:states:::sqs:sendMessage",
      "TimeoutSeconds": ${timeout},
      "Retry": [
        { "ErrorEquals": ["States.Timeout"], "MaxAttempts": 0 },
        ${retriers}
      ],
      "Catch": [{ "ErrorEquals": ["Refused"], "Next": "Both" }, { "ErrorEquals": ["Late"], "Next": "Both" }],
      "Next": "Good?"
    },
    "Good?": {
      "Type": "Choice",
      "Choices": [{ "Variable": "$.good", "BooleanEquals": true, "Next": "Both" }],
      "Default": "Bad"
    },
    "Both": {
      "Type": "Parallel",
      "Branches": [{ "StartAt": "One", "States": { "One": { "Type": "Pass", "End": true } } }],
      "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "Bad" }],
      "Next": "End"
    },
    "End": { "Type": "Succeed" },
    "Bad": { "Type": "Fail" }
  }
}"""


def test_a_definition_is_rendered_with_the_lists_beside_it(tmp_path: Path) -> None:
    (tmp_path / "order.asl.json").write_text(TEMPLATE)
    (tmp_path / "retriers.json").write_text('[{"ErrorEquals": ["States.ALL"], "MaxAttempts": ${attempts}}]')

    machine = asl.definition(tmp_path / "order.asl.json")

    work = machine["States"]["Work"]
    assert [retrier["ErrorEquals"] for retrier in work["Retry"]] == [["States.Timeout"], ["States.ALL"]]
    assert isinstance(work["TimeoutSeconds"], int)
    assert work["Resource"] == "arn:aws:states:::sqs:sendMessage"
    assert [name for name, _ in asl.states(machine)] == ["Work", "Good?", "Both", "One", "End", "Bad"]


def test_a_drawing_has_every_state_and_every_way_to_another() -> None:
    machine = json.loads(TEMPLATE.replace("${timeout}", "1").replace(",\n        ${retriers}", ""))

    assert asl.drawing(machine).splitlines() == [
        "```mermaid",
        "flowchart TD",
        '  work["Work"]',
        '  good{"Good?"}',
        '  subgraph both["Both (Parallel)"]',
        '    one[/"One"/]',
        "  end",
        '  end_(("End"))',
        '  bad(("Bad"))',
        "  work --> good",
        "  work -.->|Refused, Late| both",
        "  good --> both",
        "  good -->|else| bad",
        "  both --> end_",
        "  both -.->|any error| bad",
        "```",
    ]


DEFINITIONS = sorted(paths.PATTERNS.glob("*/statemachine/*.asl.json"))


def machines(machine: asl.Machine) -> Iterator[asl.Machine]:
    """A machine, and those inside its Parallel and Map states."""
    yield machine
    for state in machine["States"].values():
        for inner in asl.machines_within(state):
            yield from machines(inner)


@pytest.mark.parametrize("file", DEFINITIONS, ids=paths.shown)
def test_every_state_of_a_pattern_is_reached_and_leads_to_one_beside_it(file: Path) -> None:
    """What cfn-lint does not look at, and Step Functions refuses when it is deployed."""
    for machine in machines(asl.definition(file)):
        targets = {target for state in machine["States"].values() for target, _ in asl.transitions(state)}

        assert targets | {machine["StartAt"]} == set(machine["States"])

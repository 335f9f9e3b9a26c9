"""State machines in the Amazon States Language, as the patterns write them: read, and drawn.

A pattern's definition is `statemachine/<name>.asl.json`, which Terraform renders with `templatefile`. Here it is
rendered without Terraform: enough to check and to draw it, with numbers that stand for those of a deployment.
https://states-language.net
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Machine = dict[str, Any]

# A template's variable outside a string stands for a number or, in a list, for a list's elements.
_NUMBER = re.compile(r"(?<=: )\$\{\w+\}")
_ELEMENTS = re.compile(r"(?<=[\[\s])\$\{(\w+)\}(?=[\]\s])")
_SHAPES = {"Choice": '{"%s"}', "Wait": '(["%s"])', "Succeed": '(("%s"))', "Fail": '(("%s"))', "Pass": '[/"%s"/]'}


def definition(file: Path) -> Machine:
    """A definition with its template's variables filled in; a list `${x}` comes from the file x.json beside it."""

    def elements(found: re.Match[str]) -> str:
        shared = json.loads(_NUMBER.sub("9", (file.parent / f"{found[1]}.json").read_text()))
        return json.dumps(shared)[1:-1]

    text = _ELEMENTS.sub(elements, _NUMBER.sub("9", file.read_text()))
    machine: Machine = json.loads(text.replace("${partition}", "aws"))
    return machine


def machines_within(state: dict[str, Any]) -> list[Machine]:
    """The machines inside a Parallel or Map state."""
    return [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]


def states(machine: Machine) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state by name, those inside Parallel and Map states included."""
    for name, state in machine["States"].items():
        yield name, state
        for inner in machines_within(state):
            yield from states(inner)


def transitions(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where a state can lead to, and what has to happen: "" for its end, "else", or the errors that are caught."""
    for rule in state.get("Choices", []):
        yield rule["Next"], ""
    for field, label in (("Next", ""), ("Default", "else")):
        if field in state:
            yield state[field], label
    caught: dict[str, list[str]] = {}
    for catcher in state.get("Catch", []):
        caught.setdefault(catcher["Next"], []).extend(catcher["ErrorEquals"])
    for target, errors in caught.items():
        yield target, "any error" if "States.ALL" in errors else ", ".join(errors)


def drawing(machine: Machine) -> str:
    """The machine as a Mermaid flowchart: solid lines are the way on, dotted ones are errors that are caught."""
    return "\n".join(["```mermaid", "flowchart TD", *_drawn(machine, "  "), "```"])


def _drawn(machine: Machine, indent: str) -> Iterator[str]:
    for name, state in machine["States"].items():
        if inside := machines_within(state):
            yield f'{indent}subgraph {_id(name)}["{name} ({state["Type"]})"]'
            for inner in inside:
                yield from _drawn(inner, indent + "  ")
            yield f"{indent}end"
        else:
            yield f"{indent}{_id(name)}{_SHAPES.get(state['Type'], '["%s"]') % name}"
    for name, state in machine["States"].items():
        for target, label in transitions(state):
            arrow = "-.->" if label not in ("", "else") else "-->"
            yield f"{indent}{_id(name)} {arrow}{f'|{label}|' if label else ''} {_id(target)}"


def _id(name: str) -> str:
    identifier = re.sub(r"\W+", "_", name.lower()).strip("_")
    return f"{identifier}_" if identifier == "end" else identifier  # a word of Mermaid's own

"""The reference pages in docs/ say what the code says: fault rules, the variables of every pattern, commands."""

import json
import re
import shlex
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fault_injection import rules
from lab import paths
from lab.deployment import patterns

FAULTS = paths.ROOT / "docs/faults.md"
VARIABLES = paths.ROOT / "docs/variables.md"
COMMANDS = paths.ROOT / "docs/commands.md"
MARKDOWN = MarkdownIt("commonmark").enable("table")
PARAMETERS = {name for mode in rules.MODES for name in (*rules._REQUIRED[mode], *rules._OPTIONAL.get(mode, ()))}
GIVEN_BY_THE_LAB = {"id"}  # nobody types it


def sections(file: Path) -> dict[str, list[Token]]:
    """A page's tokens by the text of the heading that they stand under, without its backticks."""
    found: dict[str, list[Token]] = {}
    tokens = MARKDOWN.parse(file.read_text())
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            found[token.content.replace("`", "")] = []
        elif found:
            list(found.values())[-1].append(token)
    return found


def rows(tokens: list[Token]) -> list[list[str]]:
    """The rows of the tables among tokens, without their heads, as the cells are written."""
    found: list[list[str]] = []
    body = cell = False
    for token in tokens:
        body = token.type == "tbody_open" or (body and token.type != "tbody_close")
        if body and token.type == "tr_open":
            found.append([])
        if body and cell and token.type == "inline":
            found[-1].append(token.content)
        cell = token.type == "td_open"
    return found


def names(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def commands(tokens: list[Token]) -> list[dict[str, str]]:
    """The variables of each `make fault` in the code blocks among tokens."""
    lines = [line for token in tokens if token.type == "fence" for line in token.content.splitlines()]
    return [
        dict(word.split("=", 1) for word in shlex.split(line)[2:]) for line in lines if line.startswith("make fault ")
    ]


PAGE = sections(FAULTS)


def test_the_page_has_every_mode_and_no_other() -> None:
    tokens = MARKDOWN.parse(FAULTS.read_text())
    headings = [after.content for token, after in pairwise(tokens) if (token.type, token.tag) == ("heading_open", "h3")]

    assert sorted(headings) == sorted(f"`{mode}`" for mode in rules.MODES)


def test_the_page_has_every_field_that_goes_with_all_modes() -> None:
    said = {names(row[0])[0] for row in rows(PAGE["Where and when a rule acts"])}

    assert said == {field.name for field in fields(rules.Rule)} - PARAMETERS - GIVEN_BY_THE_LAB


@pytest.mark.parametrize("mode", rules.MODES)
def test_a_mode_has_its_parameters_and_no_other(mode: str) -> None:
    said = {names(row[0])[0]: row[1] for row in rows(PAGE[mode])}

    required, optional = rules._REQUIRED[mode], rules._OPTIONAL.get(mode, ())
    assert said == dict.fromkeys(required, "required") | dict.fromkeys(optional, "optional")


def test_the_page_has_every_error_of_a_dependency() -> None:
    (said,) = [row[2] for row in rows(PAGE["dependency"]) if names(row[0]) == ["error"]]

    assert tuple(names(said)) == rules.DEPENDENCY_ERRORS


def test_the_page_has_every_place() -> None:
    *places, call = [names(row[0])[0] for row in rows(PAGE["at"])]

    assert places == ["start", "end"]
    rules.parse(json.dumps({"rules": [{"function": "f", "mode": "crash", "at": call}]}))


@pytest.mark.parametrize("mode", rules.MODES)
def test_a_modes_examples_are_rules_of_that_mode_for_functions_that_there_are(mode: str) -> None:
    examples = commands(PAGE[mode])

    assert examples
    for example in examples:
        pattern, parameters = example.pop("PATTERN"), json.loads(example.pop("PARAMETERS", "{}"))
        assert (paths.PATTERNS / pattern / "functions" / example["FUNCTION"] / "app.py").is_file()
        rule = {name.lower(): value for name, value in example.items()} | parameters
        rule |= {name: float(rule[name]) for name in ("probability",) if name in rule}
        rule |= {name: int(rule[name]) for name in ("receive_count",) if name in rule}
        assert [each.mode for each in rules.parse(json.dumps({"rules": [rule]}))] == [mode]


def variables(pattern: str) -> set[str]:
    return set(re.findall(r'^variable "(\w+)"', (paths.PATTERNS / pattern / "variables.tf").read_text(), re.MULTILINE))


COMMON = {name for row in rows(sections(VARIABLES)["Variables that every pattern has"]) for name in names(row[0])}


@pytest.mark.parametrize("pattern", patterns())
def test_a_pattern_documents_its_own_variables_and_has_the_common_ones(pattern: str) -> None:
    own = {
        name
        for row in rows(sections(paths.PATTERNS / pattern / "README.md").get("Knobs", []))
        for name in names(row[0])
    }

    assert own | COMMON == variables(pattern)
    assert not own & COMMON, "docs/variables.md has it"


def test_the_page_has_every_command() -> None:
    targets = re.findall(r"^([a-z]+):.*##", (paths.ROOT / "Makefile").read_text(), re.MULTILINE)
    said = {words.split()[1] for row in rows(sections(COMMANDS)["Commands"]) for words in names(row[0]) if " " in words}

    assert set(targets) - {"help"} <= said

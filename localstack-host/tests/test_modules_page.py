"""MODULES.md says what the docstrings say, and these say enough."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from localstack_host.modules_page import (
    COUNTED,
    PAGE,
    Chapter,
    chapters,
    incomplete,
    markdown,
    page,
    read,
    what_is_tested,
)
from rules import service_of

DOCSTRING = '''"""Queues ``a|b``.

AWS: does
this (https://docs.aws.amazon.com/a.html, https://docs.aws.amazon.com/b.html).

LocalStack: does that.

Here: does this.

More about it.

Evidence: documentation; belief for the rest.
"""
import localstack_that_cannot_be_imported
'''


def chapter(tmp_path: Path, docstring: str = DOCSTRING) -> Chapter:
    path = tmp_path / "service" / "queues.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(docstring)
    return Chapter("service", "What is queued.", [read(path, tmp_path)])


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(chapters()), "run python -m localstack_host.modules_page"


def test_its_links_lead_somewhere() -> None:
    text = PAGE.read_text()
    headings = {heading.replace(".", "") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}

    assert set(re.findall(r"\(#([^)]+)\)", text)) <= headings


def test_every_module_that_closes_a_gap_says_how_and_with_what_evidence() -> None:
    assert incomplete(chapters()) == []


def test_a_module_on_the_page(tmp_path: Path) -> None:
    text = page([chapter(tmp_path)])

    assert "## service\n\nWhat is queued.\n" in text
    assert "| [service.queues](#servicequeues) | Queues `a\\|b`. | documentation, belief |" in text
    assert "### service.queues\n" in text
    assert "**What AWS does.** does\nthis (<https://docs.aws.amazon.com/a.html>, " in text
    assert "**Evidence.** documentation; belief for the rest." in text


def test_a_missing_paragraph_is_named(tmp_path: Path) -> None:
    assert incomplete([chapter(tmp_path)]) == []
    assert incomplete([chapter(tmp_path, DOCSTRING.replace("Here:", "There:"))]) == ["service.queues: Here"]
    assert incomplete([chapter(tmp_path, DOCSTRING.replace("documentation; belief", "hope"))]) == [
        "service.queues: Evidence"
    ]
    assert incomplete([chapter(tmp_path, '"""The process."""')]) == []
    assert incomplete([chapter(tmp_path, '"""The process.\n\nAWS: does not apply.\n"""')]) == []


def test_an_address_ends_before_the_sentence_does() -> None:
    assert markdown("see https://docs.aws.amazon.com/a.html.") == "see <https://docs.aws.amazon.com/a.html>."


def test_every_package_is_a_chapter_with_its_modules(tmp_path: Path) -> None:
    for name in ("", "sqs/", "shared/", "lambda_/", "lambda_/mappings/"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "__init__.py").write_text(f'"""About {name}."""')
        (tmp_path / name / "one.py").write_text('"""One."""')

    found = {chapter.title: [module.name for module in chapter.modules] for chapter in chapters(tmp_path)}

    assert found == {
        "lambda_": ["lambda_.one"],
        "lambda_.mappings": ["lambda_.mappings.one"],
        "sqs": ["sqs.one"],
        "shared": ["shared.one"],
        "The process and its start": ["one"],
    }
    assert list(found)[-2:] == ["shared", "The process and its start"]


def test_rules_are_counted_again_when_many_have_come_or_gone(pytestconfig: pytest.Config) -> None:
    same = ["-c", str(pytestconfig.inipath), f"--rootdir={pytestconfig.rootpath}"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        *same,
        "--stock",
        "--collect-only",
        "--quiet",
        "-n",
        "0",
        str(Path(__file__).parent),
    ]
    listed = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True).stdout
    found = Counter(service_of(Path(line.partition("::")[0])) for line in listed.splitlines() if "::" in line)
    counted = {name: rules["tried"] for name, rules in json.loads(COUNTED.read_text()).items() if rules["tried"]}

    assert counted.keys() == found.keys()
    outdated = {name for name, number in found.items() if abs(number - counted[name]) > 2 + number / 5}
    assert not outdated, "run pytest localstack-host/tests/<service> --stock, then the page"


def test_services_with_rules_or_gaps_have_a_row_each() -> None:
    counted = {
        "sqs": {"rules": 9, "tried": 8, "kept": 4, "day": "2026-11-27"},
        "sns": {"rules": 2, "tried": 2, "kept": 2, "day": "2026-11-26"},
    }

    assert what_is_tested(counted, {"sqs": 1, "iam": 2}) == [
        "| iam | 0 | 0 | 0 |  | 2 |",
        "| sns | 2 | 2 | 2 | 2026-11-26 | 0 |",
        "| sqs | 9 | 8 | 4 | 2026-11-27 | 1 |",
        "| all | 11 | 10 | 6 |  | 3 |",
    ]

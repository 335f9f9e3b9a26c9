"""MODULES.md says what the docstrings say, and these say enough."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from localstack_host.modules_page import PAGE, Module, incomplete, markdown, modules, page, read

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


def module(tmp_path: Path, docstring: str = DOCSTRING) -> Module:
    path = tmp_path / "queues.py"
    path.write_text(docstring)
    return read(path)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(modules()), "run python -m localstack_host.modules_page"


def test_every_module_that_closes_a_gap_says_how_and_with_what_evidence() -> None:
    assert incomplete(modules()) == []


def test_a_module_on_the_page(tmp_path: Path) -> None:
    text = page([module(tmp_path)])

    assert "| [queues](#queues) | Queues `a\\|b`. | documentation, belief |" in text
    assert "**What AWS does.** does\nthis (<https://docs.aws.amazon.com/a.html>, " in text
    assert "**Evidence.** documentation; belief for the rest." in text


def test_a_missing_paragraph_is_named(tmp_path: Path) -> None:
    assert incomplete([module(tmp_path)]) == []
    assert incomplete([module(tmp_path, DOCSTRING.replace("Here:", "There:"))]) == ["queues: Here"]
    assert incomplete([module(tmp_path, DOCSTRING.replace("documentation; belief", "hope"))]) == [
        "queues: Evidence"
    ]
    assert incomplete([module(tmp_path, '"""The process."""')]) == []
    assert incomplete([module(tmp_path, '"""The process.\n\nAWS: does not apply.\n"""')]) == []


def test_an_address_ends_before_the_sentence_does() -> None:
    assert markdown("see https://docs.aws.amazon.com/a.html.") == "see <https://docs.aws.amazon.com/a.html>."

"""MODULES.md says what the docstrings say, and these say enough."""

import re
from pathlib import Path

from localstack_host.modules_page import PAGE, Chapter, chapters, incomplete, markdown, page, read

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

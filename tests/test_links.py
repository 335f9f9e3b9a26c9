"""Every relative link in every page leads somewhere, and they lead from a pattern to all that it is made of."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lab import paths
from lab.deployment import patterns

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
MADE = {paths.LAB.name, ".terraform", ".git", "node_modules"}  # folders of which nothing is in the repository
PAGES = sorted(page for page in paths.ROOT.rglob("*.md") if MADE.isdisjoint(page.relative_to(paths.ROOT).parts))


def links(text: str) -> Iterator[str]:
    """The targets of a page's links and images."""
    for token in flat(MARKDOWN.parse(text)):
        target = token.attrGet("href") or token.attrGet("src")
        if target is not None:
            yield str(target)


def anchors(text: str) -> set[str]:
    """What a link to the page can name after `#`: GitHub's anchors of its headings, and those that it sets itself.

    https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
    """
    tokens = MARKDOWN.parse(text)
    found: Counter[str] = Counter()
    names = set()
    for opening, heading in pairwise(tokens):
        if opening.type == "heading_open":
            shown = "".join(part.content for part in heading.children or [] if part.type in ("text", "code_inline"))
            name = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
            names.add(f"{name}-{found[name]}" if found[name] else name)
            found[name] += 1
    for token in flat(tokens):
        if token.type in ("html_inline", "html_block"):
            names |= set(re.findall(r'<a id="([^"]+)">', token.content))
    return names


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or []


def broken(page: Path, target: str) -> str:
    """What is wrong with a page's link to this target; "" if nothing is, or if it leads out into the web."""
    parts = urlsplit(target)
    if parts.scheme in ("https", "http", "mailto"):
        return ""
    if parts.scheme or parts.path.startswith("/"):
        return "is no relative path"
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not file.is_relative_to(paths.ROOT.resolve()) or not MADE.isdisjoint(
        file.relative_to(paths.ROOT.resolve()).parts
    ):
        return "leads out of the repository"
    if not file.exists():
        return "leads nowhere"
    if not parts.fragment:
        return ""
    if file.suffix == ".md":
        return "" if parts.fragment in anchors_of(file) else f"names no heading of {paths.shown(file)}"
    line = re.fullmatch(r"L(\d+)(?:-L(\d+))?", parts.fragment)
    if not line or file.is_dir():
        return "has a fragment that is no line"
    lines = len(file.read_text().splitlines())
    return (
        "" if 1 <= int(line[1]) <= int(line[2] or line[1]) <= lines else f"names a line that is not among the {lines}"
    )


@cache
def anchors_of(file: Path) -> set[str]:
    return anchors(file.read_text())


@pytest.mark.parametrize("page", PAGES, ids=paths.shown)
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = {target: reason for target in links(page.read_text()) if (reason := broken(page, target))}

    assert wrong == {}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("docs/gaps.md", ""),
        ("patterns/fanout", ""),
        ("docs/semantics.md#sqs-1", ""),
        ("docs/semantics.md#sns", ""),
        ("#the-patterns", ""),
        ("Makefile#L1", ""),
        ("Makefile#L1-L2", ""),
        ("https://example.com/nowhere", ""),
        ("docs/missing.md", "leads nowhere"),
        ("docs/semantics.md#SQS-1", "names no heading of docs/semantics.md"),
        ("#missing", "names no heading of README.md"),
        ("Makefile#L0", "names a line that is not among the"),
        ("Makefile#L100000", "names a line that is not among the"),
        ("Makefile#first", "has a fragment that is no line"),
        ("docs#L1", "has a fragment that is no line"),
        ("/docs/gaps.md", "is no relative path"),
        ("file:///docs/gaps.md", "is no relative path"),
        ("../elsewhere.md", "leads out of the repository"),
        (f"{paths.LAB.name}/evidence", "leads out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(target: str, reason: str) -> None:
    assert broken(paths.ROOT / "README.md", target).startswith(reason)
    assert bool(broken(paths.ROOT / "README.md", target)) == bool(reason)


def test_links_are_found_wherever_they_stand() -> None:
    code = "`[no](no.md)`\n\n```\n[no](no.md)\n```\n\n"
    page = f"[a](a.md) ![b](b.png) {code}| [c](c.md) |\n|---|\n| [d][d] |\n\n[d]: d.md\n"

    assert list(links(page)) == ["a.md", "b.png", "c.md", "d.md"]


def test_anchors_are_github_s() -> None:
    page = "# A *small* `make up`: it's 1.2\n## Twice\n## Twice\n## snake_case\n<a id='no'></a><a id=\"own-1\"></a>\n"

    assert anchors(page) == {"a-small-make-up-its-12", "twice", "twice-1", "snake_case", "own-1"}


@pytest.mark.parametrize("pattern", patterns())
def test_a_patterns_page_links_all_that_it_is_made_of(pattern: str) -> None:
    folder = paths.PATTERNS / pattern
    modules = re.findall(r'source\s*=\s*"(\.\./\.\./modules/[\w-]+)"', (folder / "main.tf").read_text())
    functions = [str(file.relative_to(folder)) for file in folder.glob("functions/*/app.py")]
    wanted = {"main.tf", "tests/test_failures.py", *functions, *(f"{module}/README.md" for module in modules)}

    assert wanted <= set(links((folder / "README.md").read_text()))


def test_the_catalogue_links_every_pattern() -> None:
    linked = set(links((paths.ROOT / "README.md").read_text()))

    assert {f"patterns/{pattern}/README.md" for pattern in patterns()} <= linked, "add it to the README's table"


@pytest.mark.parametrize("module", sorted(file.parent.name for file in paths.MODULES.glob("*/main.tf")))
def test_a_modules_page_links_patterns_that_use_it(module: str) -> None:
    page = (paths.MODULES / module / "README.md").read_text()
    linked = re.findall(r"\.\./\.\./patterns/([\w-]+)/README\.md", page)

    assert linked
    for pattern in linked:
        assert f'"../../modules/{module}"' in (paths.PATTERNS / pattern / "main.tf").read_text()

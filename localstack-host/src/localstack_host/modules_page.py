"""``python -m localstack_host.modules_page`` writes MODULES.md, the page on the modules, from their docstrings.

A module that closes a gap says so in four paragraphs of its docstring: "AWS:" with the pages that state it,
"LocalStack:", "Here:" and "Evidence:", which names documentation, recording or belief. Modules without "AWS:", or
whose rule "does not apply" (they are about the process), are listed by their first line. Each package is a chapter.
Nothing is imported, so that the page needs no LocalStack.
"""

import ast
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent
PAGE = PACKAGE.parents[1] / "MODULES.md"
# What `pytest tests --stock` counted: by service, the rules that are tested, those that LocalStack keeps, and the day.
COUNTED = PACKAGE.parents[1] / "tests/rules.json"
GAPS = PACKAGE.parents[2] / "lab/gaps.toml"
KINDS = ("documentation", "recording", "belief")
NOT_ABOUT_AWS = "does not apply"
TITLES = {
    "AWS": "What AWS does",
    "LocalStack": "What LocalStack alone does",
    "Here": "How it is closed",
    "Evidence": "Evidence",
}

INTRODUCTION = """\
# Modules

Written by `python -m localstack_host.modules_page` from the modules' docstrings; change those.

## Start here

A module closes one gap between LocalStack 4.14.0 and AWS: something that AWS does and LocalStack alone does not, or
does otherwise. Its section says what AWS does, with the pages that state it; what LocalStack alone does; how the gap is
closed, and where that is still not as on AWS; and what the first of these rests on. That is documentation (the pages
that it names), a recording (of responses of AWS), or belief (neither states it): what rests on belief may be wrong.

A chapter is a service, and a package of the same name. Its `service` says which classes the service's provider is made
of, and the modules without a section serve the others, or this machine. To see how one is written, begin with a small
one that is a method in a subclass of LocalStack's provider, [cloudwatch.alarm_tags](#cloudwatchalarm_tags); then one
that has to replace something by name, [lambda_.client_context](#lambda_client_context); then the largest, which makes
functions run at all, [lambda_.executor](#lambda_executor). [README.md](README.md) says how to add one.
"""
WHAT_IS_TESTED = """\

## How much of it is tested

A rule is a test of a service that talks to a running LocalStack: one rule of AWS with one input. All of them hold with
this package, or its tests fail. How many hold on LocalStack 4.14.0 alone, with its own providers, is counted by
`pytest tests --stock`. Its functions run as processes there, too, for want of Docker. Not tried are its tables, which
need Java, and its data streams, which need a program that it downloads; what needs its JSONata, which needs Java, too,
counts as what does not hold. The rules were written where LocalStack was found to differ, with their siblings: they are
no sample of what it does. What is known to differ still is [declared](../docs/gaps.md).

| service | rules that hold here | tried on LocalStack alone | hold there | counted on | declared as gaps |
|---|---|---|---|---|---|"""
TOP_LEVEL = "The process and its start"


@dataclass(frozen=True)
class Module:
    """A module's dotted name, the first line of its docstring, and its other paragraphs by label ("" has none)."""

    name: str
    summary: str
    paragraphs: dict[str, str]

    @property
    def closes_a_gap(self) -> bool:
        return not self.paragraphs.get("AWS", NOT_ABOUT_AWS).startswith(NOT_ABOUT_AWS)

    @property
    def evidence(self) -> tuple[str, ...]:
        """The kinds of evidence, in the order of KINDS."""
        text = self.paragraphs.get("Evidence", "")
        return tuple(kind for kind in KINDS if re.search(rf"\b{kind}s?\b", text))

    @property
    def anchor(self) -> str:
        """What GitHub makes of the heading."""
        return self.name.replace(".", "")


@dataclass(frozen=True)
class Chapter:
    """A package: its name, or a title; the docstring's first line; its modules, without those of packages in it."""

    title: str
    summary: str
    modules: list[Module]


def read(path: Path, package: Path = PACKAGE) -> Module:
    summary, *rest = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")
    paragraphs: dict[str, str] = {}
    for paragraph in rest:
        labelled = re.match(rf"({'|'.join(TITLES)}): ", paragraph)
        label = labelled[1] if labelled else ""
        text = paragraph.removeprefix(f"{label}: ") if label else paragraph
        paragraphs[label] = "\n\n".join(filter(None, [paragraphs.get(label), text]))
    name = ".".join(path.relative_to(package).with_suffix("").parts)
    return Module(name, " ".join(summary.split()), paragraphs)


def chapters(package: Path = PACKAGE) -> list[Chapter]:
    """The services in the order of their names; what they share, and the process, come last."""
    found = []
    for path in sorted(package.rglob("__init__.py")):
        modules = [read(one, package) for one in sorted(path.parent.glob("*.py")) if not one.stem.startswith("__")]
        title = ".".join(path.parent.relative_to(package).parts)
        found.append(Chapter(title or TOP_LEVEL, read(path, package).summary, modules))
    return sorted(found, key=lambda chapter: (chapter.title == TOP_LEVEL, chapter.title == "shared"))


def incomplete(found: Iterable[Chapter]) -> list[str]:
    """What the docstrings of modules that close a gap lack, as ``module: paragraph``."""
    return [
        f"{module.name}: {label}"
        for chapter in found
        for module in chapter.modules
        if module.closes_a_gap
        for label in TITLES
        if label not in module.paragraphs or (label == "Evidence" and not module.evidence)
    ]


def page(found: Iterable[Chapter]) -> str:
    chapters = [line for chapter in found for line in lines_of(chapter)]
    counted = what_is_tested(json.loads(COUNTED.read_text()), declared())
    return "\n".join([INTRODUCTION.rstrip(), WHAT_IS_TESTED, *counted, *chapters, ""])


def declared() -> Counter[str]:
    """How many gaps of the local target are declared, by service."""
    return Counter(gap["service"] for gap in tomllib.loads(GAPS.read_text())["gap"] if gap["target"] == "local")


def what_is_tested(counted: Mapping[str, Mapping[str, Any]], gaps: Mapping[str, int]) -> list[str]:
    """A row for each service with rules or gaps, and one for all together."""
    numbers = ("rules", "tried", "kept")
    rows = []
    for name in sorted({*counted, *gaps}):
        rules = counted.get(name, {})
        rows.append((name, [rules.get(key, 0) for key in numbers], rules.get("day", ""), gaps.get(name, 0)))
    total = [sum(row) for row in zip(*(found for _, found, _, _ in rows), strict=True)]
    return [
        f"| {name} | {' | '.join(map(str, found))} | {day} | {declared} |"
        for name, found, day, declared in [*rows, ("all", total, "", sum(gaps.values()))]
    ]


def lines_of(chapter: Chapter) -> list[str]:
    return [
        "",
        f"## {chapter.title}",
        "",
        markdown(chapter.summary),
        "",
        "| module | what it is about | evidence |",
        "|---|---|---|",
        *(row(module) for module in chapter.modules),
        *(line for module in chapter.modules if module.closes_a_gap for line in section(module)),
    ]


def row(module: Module) -> str:
    name = f"[{module.name}](#{module.anchor})" if module.closes_a_gap else module.name
    return f"| {name} | {markdown(module.summary)} | {', '.join(module.evidence)} |"


def section(module: Module) -> list[str]:
    lines = ["", f"### {module.name}", "", markdown(module.summary)]
    for label, title in TITLES.items():
        if label in module.paragraphs:
            lines += ["", f"**{title}.** {markdown(module.paragraphs[label])}"]
    return lines


def markdown(text: str) -> str:
    """Text of a docstring: code in double backticks, bare addresses."""
    text = re.sub(r"https://[^\s)]+[^\s).,]", r"<\g<0>>", text.replace("``", "`"))
    return text.replace("|", "\\|") if "\n" not in text else text


if __name__ == "__main__":
    PAGE.write_text(page(chapters()))

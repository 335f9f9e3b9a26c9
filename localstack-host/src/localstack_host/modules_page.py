"""``python -m localstack_host.modules_page`` writes MODULES.md, the page on the modules, from their docstrings.

A module that closes a gap says so in four paragraphs of its docstring: "AWS:" with the pages that state it,
"LocalStack:", "Here:" and "Evidence:", which names documentation, recording or belief. Modules without "AWS:", or
whose rule "does not apply" (they are about the process), are listed by their first line. Nothing is imported, so
that the page needs no LocalStack.
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent
PAGE = PACKAGE.parents[1] / "MODULES.md"
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

Each module below closes one gap between LocalStack 4.14.0 and AWS. The evidence for what it says of AWS is
documentation (the pages that it names), a recording (of responses of AWS), or belief (neither states it).
"""


@dataclass(frozen=True)
class Module:
    """A module's name, the first line of its docstring, and its other paragraphs by their label ("" has none)."""

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


def read(path: Path) -> Module:
    summary, *rest = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")
    paragraphs: dict[str, str] = {}
    for paragraph in rest:
        labelled = re.match(rf"({'|'.join(TITLES)}): ", paragraph)
        label = labelled[1] if labelled else ""
        text = paragraph.removeprefix(f"{label}: ") if label else paragraph
        paragraphs[label] = "\n\n".join(filter(None, [paragraphs.get(label), text]))
    return Module(path.stem, " ".join(summary.split()), paragraphs)


def modules(package: Path = PACKAGE) -> list[Module]:
    return [read(path) for path in sorted(package.glob("*.py")) if not path.stem.startswith("__")]


def incomplete(found: Iterable[Module]) -> list[str]:
    """What the docstrings of modules that close a gap lack, as ``module: paragraph``."""
    return [
        f"{module.name}: {label}"
        for module in found
        if module.closes_a_gap
        for label in TITLES
        if label not in module.paragraphs or (label == "Evidence" and not module.evidence)
    ]


def page(found: list[Module]) -> str:
    gaps = [module for module in found if module.closes_a_gap]
    others = [module for module in found if not module.closes_a_gap]
    return "\n".join(
        [
            INTRODUCTION,
            "| module | gap | evidence |",
            "|---|---|---|",
            *(
                f"| [{module.name}](#{module.name}) | {markdown(module.summary)} | {', '.join(module.evidence)} |"
                for module in gaps
            ),
            *(line for module in gaps for line in section(module)),
            "",
            "## Other modules",
            "",
            "| module | what it is for |",
            "|---|---|",
            *(f"| {module.name} | {markdown(module.summary)} |" for module in others),
            "",
        ]
    )


def section(module: Module) -> list[str]:
    lines = ["", f"## {module.name}", "", markdown(module.summary)]
    for label, title in TITLES.items():
        if label in module.paragraphs:
            lines += ["", f"**{title}.** {markdown(module.paragraphs[label])}"]
    return lines


def markdown(text: str) -> str:
    """Text of a docstring: code in double backticks, bare addresses."""
    text = re.sub(r"https://[^\s)]+[^\s).,]", r"<\g<0>>", text.replace("``", "`"))
    return text.replace("|", "\\|") if "\n" not in text else text


if __name__ == "__main__":
    PAGE.write_text(page(modules()))

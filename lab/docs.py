"""The generated parts of the READMEs: failure tables and others from experiments and their evidence, drawings of
state machines, modules' interfaces."""

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab import asl, contract, hcl, paths, targets
from lab.deployment import patterns
from lab.experiment import claim

FAILURES = ("<!-- BEGIN FAILURES -->", "<!-- END FAILURES -->")
INTERFACE = ("<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->")
STATES = ("<!-- BEGIN STATES -->", "<!-- END STATES -->")
CONTRACT = ("<!-- BEGIN CONTRACT -->", "<!-- END CONTRACT -->")
GAPS = ("<!-- BEGIN GAPS -->", "<!-- END GAPS -->")
TABLE = re.compile(r"(<!-- BEGIN TABLE (test_\w+) -->)")
NOT_RUN = "not run yet"

Markers = tuple[str, str]


def write() -> Iterator[Path]:
    """Writes every generated part; yields the files that changed."""
    for file, contents in parts().items():
        before = after = file.read_text()
        for markers, content in contents.items():
            after = between(after, markers, content)
        if after != before:
            file.write_text(after)
            yield file


def parts() -> dict[Path, dict[Markers, str]]:
    """The content of every generated part, by file and by the markers around it."""
    wanted: dict[Path, dict[Markers, str]] = {}
    for name in patterns():
        file = paths.PATTERNS / name / "README.md"
        text = file.read_text()
        wanted[file] = {FAILURES: failures(name)}
        for begin, experiment in TABLE.findall(text):
            markers = begin, begin.replace("BEGIN", "END")
            wanted[file][markers] = table(name, experiment) or within(text, markers)
    for file in sorted(paths.PATTERNS.glob("*/statemachine/*.asl.json")):
        wanted[file.parents[1] / "README.md"][STATES] = asl.drawing(asl.definition(file))
    for folder in sorted(path.parent for path in paths.MODULES.glob("*/main.tf")):
        wanted[folder / "README.md"] = {INTERFACE: interface(folder)}
    wanted[paths.ROOT / "docs/contract.md"] = {CONTRACT: contract.table()}
    wanted[paths.ROOT / "docs/gaps.md"] = {GAPS: gaps()}
    return wanted


def between(text: str, markers: Markers, content: str) -> str:
    """The text with what stands between the markers replaced. Raises ValueError when they are missing."""
    begin, end = text.index(markers[0]) + len(markers[0]), text.index(markers[1])
    return f"{text[:begin]}\n{content}\n{text[end:]}"


def within(text: str, markers: Markers) -> str:
    """What stands between the markers. Raises ValueError when they are missing."""
    return text[text.index(markers[0]) + len(markers[0]) : text.index(markers[1])].strip()


def experiments(pattern: str) -> list[Callable[..., Any]]:
    """A pattern's experiments, in the order of the file."""
    file = paths.PATTERNS / pattern / "tests/test_failures.py"
    spec = importlib.util.spec_from_file_location(f"{pattern}_failures".replace("-", "_"), file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [
        value for value in vars(module).values() if getattr(value, "pytestmark", None) and mark(value, "experiment")
    ]


def mark(function: Callable[..., Any], name: str) -> Any:
    """A function's pytest mark of that name, or None."""
    return next((mark for mark in getattr(function, "pytestmark", []) if mark.name == name), None)


def failures(pattern: str) -> str:
    """A README's table of failures: one row per experiment, what it showed taken from its last evidence."""
    rows = ["| Failure | What happens | Rests on | Experiment | Observed |", "|---|---|---|---|---|"]
    for function in experiments(pattern):
        experiment = mark(function, "experiment")
        semantics = ", ".join(f"[{id}](../../docs/semantics.md#{id.lower()})" for id in experiment.args)
        name = function.__name__
        rows.append(
            f"| {experiment.kwargs['failure']} | {claim(function)} | {semantics} "
            f"| [`{name.removeprefix('test_')}`](tests/test_failures.py) | {observed(pattern, name)} |"
        )
    return "\n".join(rows)


def observed(pattern: str, experiment: str) -> str:
    """What the last run of an experiment showed, with target and date; what the README says if it did not run here."""
    evidence = last_evidence(pattern, experiment)
    if evidence is None:
        row = rf"^.*\[`{experiment.removeprefix('test_')}`\]\(tests/test_failures\.py\) \| (.*) \|$"
        said = re.search(row, (paths.PATTERNS / pattern / "README.md").read_text(), re.MULTILINE)
        return said[1] if said else NOT_RUN
    if evidence["outcome"] == "known gap":
        return f"cannot be shown ({_where(evidence)}): [known gap](../../docs/gaps.md)"
    return f"{evidence['observed'] if evidence['outcome'] == 'passed' else evidence['outcome']} ({_where(evidence)})"


def table(pattern: str, experiment: str) -> str:
    """The table that the last run of an experiment observed, with target and date; "" if it did not pass here."""
    evidence = last_evidence(pattern, experiment) or {}
    rows = evidence.get("table")
    if not rows or evidence["outcome"] != "passed":
        return ""
    lines = [f"| {' | '.join(cells)} |" for cells in [rows[0], *(map(str, row.values()) for row in rows)]]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:], "", f"({_where(evidence)})"])


def last_evidence(pattern: str, experiment: str) -> dict[str, Any] | None:
    """What an experiment's last run left, as `Experiment.save` writes it; None if it did not run here."""
    file = paths.EVIDENCE / pattern / f"{experiment}.json"
    evidence: dict[str, Any] | None = json.loads(file.read_text()) if file.exists() else None
    return evidence


def interface(folder: Path) -> str:
    """A module's inputs and outputs as tables, without that of which it has none."""
    rows = []
    for name, variable in hcl.blocks(folder / "variables.tf", "variable"):
        default = f"`{json.dumps(variable['default'])}`" if "default" in variable else "required"
        rows.append(f"| `{name}` | `{_type(variable['type'])}` | {default} | {_text(variable['description'])} |")
    if rows:
        rows = ["| Input | Type | Default | Description |", "|---|---|---|---|", *rows, ""]
    outputs = [
        f"| `{name}` | {_text(output['description'])} |" for name, output in hcl.blocks(folder / "outputs.tf", "output")
    ]
    if outputs:
        rows += ["| Output | Description |", "|---|---|", *outputs]
    return "\n".join(rows).strip()


def gaps() -> str:
    """The table of what the targets are known not to show."""
    rows = ["| Gap | Target | Semantic | What happens instead | Why |", "|---|---|---|---|---|"]
    for gap in targets.known_gaps():
        semantic = f"[{gap.semantic}](semantics.md#{gap.semantic.lower()})" if gap.semantic else ""
        rows.append(f"| `{gap.id}` | {gap.version} | {semantic} | {gap.instead} | {gap.reason} |")
    return "\n".join(rows)


def _where(evidence: dict[str, Any]) -> str:
    return f"{evidence['target']['version']}, {evidence['date'][:10]}"


def _type(value: str) -> str:
    return re.sub(r"\s+", " ", value.removeprefix("${").removesuffix("}")).replace("|", "\\|")


def _text(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|").replace("<", "&lt;")

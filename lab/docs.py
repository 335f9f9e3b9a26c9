"""What `make docs` writes: the committed evidence of experiments, and the generated parts of the READMEs, which are
failure tables and others from that evidence, drawings of state machines, modules' interfaces and known gaps."""

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from lab import asl, contract, evidence, hcl, paths, targets
from lab.deployment import patterns
from lab.evidence import KNOWN_GAP, PASSED, Evidence
from lab.experiment import claim

if TYPE_CHECKING:
    from lab.bad_input import Case

FAILURES = ("<!-- BEGIN FAILURES -->", "<!-- END FAILURES -->")
INTERFACE = ("<!-- BEGIN_TF_DOCS -->", "<!-- END_TF_DOCS -->")
STATES = ("<!-- BEGIN STATES -->", "<!-- END STATES -->")
CONTRACT = ("<!-- BEGIN CONTRACT -->", "<!-- END CONTRACT -->")
BAD_INPUT = ("<!-- BEGIN BAD INPUT -->", "<!-- END BAD INPUT -->")
REAL_TIME = ("<!-- BEGIN REAL TIME -->", "<!-- END REAL TIME -->")
GAPS = ("<!-- BEGIN GAPS -->", "<!-- END GAPS -->")
TABLE = re.compile(r"(<!-- BEGIN TABLE (test_\w+) -->)")
NOT_RUN = "not run yet"

Markers = tuple[str, str]


def write() -> Iterator[Path]:
    """Commits new evidence to its files and writes every generated part; yields the files that changed."""
    for pattern in patterns():
        yield from publish(pattern)
    yield from generate()


def generate() -> Iterator[Path]:
    """Writes every generated part from what is committed; yields the files that changed."""
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
        wanted[file] = {FAILURES: failures(name)}
        for begin, experiment in TABLE.findall(file.read_text()):
            wanted[file][begin, begin.replace("BEGIN", "END")] = table(name, experiment)
    for file in sorted(paths.PATTERNS.glob("*/statemachine/*.asl.json")):
        wanted[file.parents[1] / "README.md"][STATES] = asl.drawing(asl.definition(file))
    for folder in sorted(path.parent for path in paths.MODULES.glob("*/main.tf")):
        wanted[folder / "README.md"] = {INTERFACE: interface(folder)}
    wanted[paths.ROOT / "docs/contract.md"] = {CONTRACT: contract.table()}
    wanted[paths.ROOT / "docs/bad-input.md"] = {BAD_INPUT: bad_inputs()}
    wanted[paths.ROOT / "docs/experiments.md"] = {REAL_TIME: real_time()}
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
    found = vars(_tests(pattern, "test_failures")).values()
    return [value for value in found if getattr(value, "pytestmark", None) and mark(value, "experiment")]


def _tests(pattern: str, name: str) -> ModuleType:
    """A module of a pattern's tests."""
    file = paths.PATTERNS / pattern / f"tests/{name}.py"
    spec = importlib.util.spec_from_file_location(f"{pattern}_{name}".replace("-", "_"), file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mark(function: Callable[..., Any], name: str) -> Any:
    """A function's pytest mark of that name, or None."""
    return next((mark for mark in getattr(function, "pytestmark", []) if mark.name == name), None)


def evidence_folder(pattern: str) -> Path:
    """Where the committed evidence of a pattern's experiments is."""
    return paths.PATTERNS / pattern / "evidence"


def publish(pattern: str) -> Iterator[Path]:
    """Writes what experiments showed here since their evidence was committed; yields the files that changed.

    Taken is the last run on the local target, if it passed or met a known gap; the evidence of experiments that are
    no more is removed.
    """
    folder, names = evidence_folder(pattern), {function.__name__ for function in experiments(pattern)}
    committed = evidence.in_folder(folder)
    for name, found in evidence.in_folder(paths.EVIDENCE / pattern).items():
        fit = found.target.name == "local" and found.outcome in (PASSED, KNOWN_GAP)
        if name in names and fit and (name not in committed or committed[name].date < found.date):
            yield found.for_the_repository().save(folder)
    for name in committed.keys() - names:
        (folder / f"{name}.json").unlink()
        yield folder / f"{name}.json"


def failures(pattern: str) -> str:
    """A README's table of failures: on what and when they were observed, and a row for each experiment."""
    found = evidence.in_folder(evidence_folder(pattern))
    rows = [where(list(found.values())), "", "| Failure | What happens | Observed |", "|---|---|---|"]
    for function in experiments(pattern):
        experiment, name = mark(function, "experiment"), function.__name__
        semantics = ", ".join(f"[{id}](../../docs/semantics.md#{id.lower()})" for id in experiment.args)
        line = function.__code__.co_firstlineno  # of its decorators, which say what fails
        seen = observed(found[name], mark(function, "gap")) if name in found else NOT_RUN
        rows.append(
            f"| [{experiment.kwargs['failure']}](tests/test_failures.py#L{line}) | {claim(function)} "
            f"| {seen} ({semantics}) |"
        )
    return "\n".join(rows)


def real_time() -> str:
    """The experiments that stay on real time, and why."""
    rows = ["| Experiment | Why it stays on real time |", "|---|---|"]
    for pattern in patterns():
        for function in experiments(pattern):
            if found := mark(function, "real_time"):
                file, line = f"patterns/{pattern}/tests/test_failures.py", function.__code__.co_firstlineno
                rows.append(f"| {pattern}: [{claim(function)}](../{file}#L{line}) | {found.kwargs['reason']} |")
    return "\n".join(rows)


def observed(found: Evidence, gap: Any) -> str:
    """What an experiment showed, linked to its evidence; if the target cannot show it, with the gap of its mark."""
    file = f"evidence/{found.experiment}.json"
    if found.outcome == KNOWN_GAP:
        return f"[cannot be shown]({file}): [known gap](../../docs/gaps.md#{gap.args[0]})"
    return f"[{found.observed}]({file})"


def where(found: list[Evidence]) -> str:
    """A sentence that says on what, when, and with which code evidence was found."""
    if not found:
        return f"Observed: {NOT_RUN}."
    found = sorted(found, key=lambda each: each.date)
    versions = " and ".join(dict.fromkeys(each.target.version for each in found))
    commits = ", ".join(dict.fromkeys(f"`{each.commit.id}`{' with changes' * each.commit.changed}" for each in found))
    first, last = found[0].date[:10], found[-1].date[:10]
    when = f"on {first}" if first == last else f"between {first} and {last}"
    return f"Observed on {versions} {when}, at commit {commits}."


def table(pattern: str, experiment: str) -> str:
    """The table that an experiment observed, with on what and when."""
    found = evidence.in_folder(evidence_folder(pattern)).get(experiment)
    if found is None or not found.table:
        return NOT_RUN
    cells = [found.table[0], *(map(str, row.values()) for row in found.table)]
    head, *rows = [f"| {' | '.join(row)} |" for row in cells]
    seen = f"([evidence](evidence/{experiment}.json): {found.target.version}, {found.date[:10]})"
    return "\n".join([head, "|---" * len(found.table[0]) + "|", *rows, "", seen])


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


def bad_inputs() -> str:
    """Tables of bad inputs, from the cases that the patterns' tests check: first of any message, then by pattern."""
    from lab import bad_input  # what generates input is for tests, and no command should wait for its import

    lines = ["## Any message of a queue", "", *_cases(bad_input.of_any("")), ""]
    for file in sorted(paths.PATTERNS.glob("*/tests/test_bad_input.py")):
        pattern = file.parents[1].name
        lines += [f"## {pattern}", "", *_cases(_tests(pattern, "test_bad_input").CASES), ""]
    return "\n".join(lines).strip()


def _cases(cases: "list[Case]") -> list[str]:
    named = any(case.function for case in cases)
    titles = [*(["Function"] if named else []), "Input", "Class", "The log says", "Where it ends"]
    rows = [[*([f"`{case.function}`"] if named else []), *case.row] for case in cases]
    return [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def gaps() -> str:
    """The tables of what the targets are known not to show: what an experiment expects, and what none meets."""
    expected = {
        gap.args[0]: f"[{pattern}](../patterns/{pattern}/tests/test_failures.py#L{function.__code__.co_firstlineno})"
        for pattern in patterns()
        for function in experiments(pattern)
        if (gap := mark(function, "gap"))
    }
    columns = ("Gap", "Target", "Service", "Semantic", "What happens instead", "Why")
    met = [f"## Gaps that an experiment expects\n\n| {' | '.join(columns)} | Expected by |", "|---" * 7 + "|"]
    others = [f"## Gaps that no experiment expects\n\n| {' | '.join(columns)} |", "|---" * 6 + "|"]
    for gap in targets.known_gaps():
        semantic = f"[{gap.semantic}](semantics.md#{gap.semantic.lower()})" if gap.semantic else ""
        name = f'<a id="{gap.id}"></a>`{gap.id}`'
        row = f"| {name} | {gap.version} | {gap.service} | {semantic} | {gap.instead} | {gap.reason} |"
        if gap.id in expected:
            met.append(f"{row} {expected[gap.id]} |")
        else:
            others.append(row)
    return "\n".join([*met, "", *others])


def _type(value: str) -> str:
    return re.sub(r"\s+", " ", value.removeprefix("${").removesuffix("}")).replace("|", "\\|")


def _text(value: str) -> str:
    return " ".join(value.split()).replace("|", "\\|").replace("<", "&lt;")


def alarm_rows(pattern: str) -> dict[str, str]:
    """The row of each alarm in "What the alarms mean" of a pattern's README, by the name without the deployment's."""
    readme = (paths.PATTERNS / pattern / "README.md").read_text()
    section = readme.partition("### What the alarms mean\n")[2].partition("\n#")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}

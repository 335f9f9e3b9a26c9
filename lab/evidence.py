"""What an experiment showed: the record that a run leaves, and the copy of it that is committed."""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from subprocess import CalledProcessError, run
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lab import paths
from lab.console import LabError

PASSED, KNOWN_GAP = "passed", "known gap"

# Of an event that happened more often, the committed copy has this many of the first and of the last.
SHOWN = 10
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


@dataclass(frozen=True)
class Event:
    """Something that the experiment did, or that a function logged; `at` in seconds since the experiment began."""

    at: float
    event: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RanOn:
    """The target of a run, and its clock: "real", or "virtual", whose time jumps while an experiment waits."""

    name: str
    version: str
    region: str
    clock: str = "real"


@dataclass(frozen=True)
class Commit:
    """The commit that the code of a run was at, abbreviated, and whether files of the lab differed from it."""

    id: str
    changed: bool


@dataclass(frozen=True)
class Evidence:
    """What one run of one experiment showed.

    `experiment` is the test's name, `id` what the run put into everything that it sent; `outcome` is "passed",
    "failed", "known gap" or "interrupted"; `observed` and `table` are what `Experiment.observe` was told; `date` is in
    UTC, as ISO 8601; `seconds` is how long the run took; `parameters` are the Terraform variables of the deployment.
    """

    experiment: str
    pattern: str
    id: str
    failure: str
    claim: str
    semantics: list[str]
    outcome: str
    observed: str
    table: list[dict[str, Any]]
    target: RanOn
    commit: Commit
    date: str
    seconds: float
    parameters: dict[str, str]
    timeline: list[Event]

    def save(self, folder: Path) -> Path:
        """Writes the evidence as `<experiment>.json`, with a line for each event, and returns that file."""
        file = folder / f"{self.experiment}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = asdict(self)
        events = [
            f"    {json.dumps({name: value for name, value in event.items() if value != {}}, ensure_ascii=False)}"
            for event in content.pop("timeline")
        ]
        head = json.dumps(content, indent=2, ensure_ascii=False).removesuffix("\n}")
        paths.write(file, f'{head},\n  "timeline": [\n{",\n".join(events)}\n  ]\n}}\n')
        return file

    def for_the_repository(self) -> "Evidence":
        """The evidence without what is another after every run and says nothing, and without endless repetition.

        The ids of the run and of its copy of the pattern are `x` and the pattern's name; UUIDs, which are ids of
        messages and requests, are numbered in the order in which they appear.
        """
        text = json.dumps(asdict(replace(self, timeline=_abridged(self.timeline))))
        text = re.sub(rf"\bt[0-9a-f]{{6}}-{re.escape(self.pattern)}\b", self.pattern, text.replace(self.id, "x"))
        numbers: dict[str, str] = {}
        return _ADAPTER.validate_json(
            _UUID.sub(lambda found: numbers.setdefault(found[0], f"id-{len(numbers) + 1}"), text)
        )


_ADAPTER = TypeAdapter(Evidence)


def load(file: Path) -> Evidence:
    """The evidence that a file holds. Raises LabError when it is no evidence."""
    try:
        return _ADAPTER.validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LabError(
            f"{paths.shown(file)} is no evidence of an experiment: {where and f'{where}: '}{first['msg']}. "
            "Remove it, and run the experiment again."
        ) from error


def in_folder(folder: Path) -> dict[str, Evidence]:
    """The evidence that a folder holds, by experiment. Raises LabError when a file is none."""
    return {file.stem: load(file) for file in sorted(folder.glob("*.json"))}


@cache
def commit() -> Commit:
    """The commit that was checked out when this was asked first; "unknown" where the lab is no Git repository."""

    def git(*arguments: str) -> str:
        try:
            return run(["git", *arguments], cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.strip()
        except (CalledProcessError, FileNotFoundError):
            return ""

    # prose and evidence have no part in what an experiment shows
    changes = git("status", "--porcelain", "--untracked-files=all", "--", ".", ":!*.md", ":!patterns/*/evidence/*")
    return Commit(git("rev-parse", "--short=10", "HEAD") or "unknown", bool(changes))


def _abridged(timeline: list[Event]) -> list[Event]:
    """The timeline in which each event that happened often is there for its first and last times only."""
    places: dict[str, list[int]] = {}
    for place, event in enumerate(timeline):
        places.setdefault(event.event, []).append(place)
    instead: dict[int, Event | None] = {}
    for what, found in places.items():
        middle = found[SHOWN:-SHOWN]
        if len(middle) > 1:
            instead |= dict.fromkeys(middle)
            instead[middle[0]] = Event(timeline[middle[0]].at, f"{what}, {len(middle)} times more")
    shown = [instead.get(place, event) for place, event in enumerate(timeline)]
    return [event for event in shown if event]

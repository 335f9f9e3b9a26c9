"""Makes a pattern from the template, which is a small pattern itself: a queue, a consumer and one experiment."""

import re
import shutil
import tempfile
from pathlib import Path

from lab import paths
from lab.console import LabError
from lab.deployment import patterns

TEMPLATE = paths.ROOT / "lab/template"
NAME = "new-pattern"  # the template's, wherever it says its own
# The name of an isolated copy, t<6 digits>-<pattern>, has to be one that the pattern's variable `name` takes: 40.
MAX_LENGTH = 32
TAKEN = {"layers"}  # a folder beside those of the patterns' zips


def make(name: str) -> Path:
    """Makes patterns/<name> and returns it. Raises LabError, with nothing made, on a name that cannot be had."""
    check_name(name)
    with tempfile.TemporaryDirectory(dir=paths.PATTERNS, prefix=".new-") as scratch:
        made = Path(scratch) / name
        shutil.copytree(TEMPLATE, made, ignore=shutil.ignore_patterns("__pycache__", ".terraform*"))
        for file in [path for path in made.rglob("*") if path.is_file()]:
            file.write_text(named(file.read_text(), name))
            file.rename(file.with_name(named(file.name, name)))
        return made.rename(paths.PATTERNS / name)


def named(text: str, name: str) -> str:
    """A text of the template as one of the pattern `name`: dead-drop, dead_drop and Dead drop."""
    for style in (str, lambda each: each.replace("-", "_"), lambda each: each.replace("-", " ").capitalize()):
        text = text.replace(style(NAME), style(name))
    return text


def check_name(name: str) -> None:
    """Raises LabError when a new pattern cannot have this name."""
    if not name:
        raise LabError("What shall the new pattern be called? Say PATTERN=<name>, for example PATTERN=dead-drop.")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > MAX_LENGTH:
        raise LabError(
            f"PATTERN={name} cannot be a pattern's name: use at most {MAX_LENGTH} lowercase letters, digits and single "
            "hyphens, with a letter first."
        )
    if name in TAKEN or (paths.PATTERNS / name).exists():
        raise LabError(f"The name {name} is taken. Choose another; there are: {', '.join(patterns())}.")
    for other in patterns():
        if name.startswith(f"{other}-") or other.startswith(f"{name}-"):
            raise LabError(
                f"PATTERN={name} and the pattern {other}: one name begins the other, so that nobody could tell by its "
                "name which of them a resource belongs to. Choose another."
            )

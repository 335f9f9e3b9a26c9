"""Where things are: the repository, and the one folder that holds everything the lab makes.

`python -m lab.paths claim` and `remove` are for the Makefile: they need no package, and so run before any is installed
and after all are gone.
"""

import os
import secrets
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ROOT / "patterns"
MODULES = ROOT / "modules"
LAYERS = ROOT / "lambdas"
LOCALSTACK_HOST = ROOT / "localstack-host"

DEFAULT = ROOT / ".lab"
LAB = (ROOT / (os.environ.get("LAB_DIR") or DEFAULT)).resolve()
MARK = ".serverless-patterns-lab"  # a file of that name is in a folder that the lab made, or was given empty
BUILD = LAB / "build"
EVIDENCE = LAB / "evidence"
LOGS = LAB / "logs"
STATE = LAB / "state"


def shown(path: Path) -> str:
    """The path as a person in the repository would type it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def write(file: Path, text: str) -> None:
    """Writes a file so that whoever reads it meanwhile finds all of the old text or all of the new."""
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(text)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def claim(folder: Path) -> None:
    """Makes the lab's folder where there is none, and marks it as the lab's own, which `remove` may remove.

    Raises ValueError, before anything is made, when it is, or may be, somebody else's: when it is not empty and bears
    no mark. The repository's own `.lab` is the lab's in any case.
    """
    for kept, what in ((ROOT, "this repository"), (Path.home().resolve(), "your home folder")):
        if kept.is_relative_to(folder):
            raise ValueError(f"LAB_DIR={folder} holds {what}. Name a folder for the lab alone.")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"LAB_DIR={folder} is not a folder.")
    mark = folder / MARK
    if folder != DEFAULT and not mark.exists() and folder.exists() and any(folder.iterdir()):
        raise ValueError(
            f"LAB_DIR={folder} is not empty, and the lab has not made it: there is no {MARK} in it. Name another "
            f"folder. If an earlier version of the lab has made it, remove it by hand, or make that file."
        )
    folder.mkdir(parents=True, exist_ok=True)
    mark.write_text("The Serverless Patterns Lab made this folder, and `make clean` removes it.\n")


def remove(folder: Path) -> None:
    """Removes the lab's folder, and what Terraform has put beside the modules. Raises ValueError as `claim` does."""
    claim(folder)
    shutil.rmtree(folder)
    for module in (module for parent in (PATTERNS, MODULES) for module in parent.iterdir()):
        shutil.rmtree(module / ".terraform", ignore_errors=True)
        (module / ".terraform.lock.hcl").unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        {"claim": claim, "remove": remove}[sys.argv[1]](LAB)
    except (ValueError, OSError) as error:
        sys.exit(f"✗ {error}")

"""Where things are: the repository, and the one folder that holds everything the lab makes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = ROOT / "patterns"
MODULES = ROOT / "modules"
LAYERS = ROOT / "lambdas"
LOCALSTACK_HOST = ROOT / "localstack-host"

LAB = Path(os.environ.get("LAB_DIR") or ROOT / ".lab").resolve()
BUILD = LAB / "build"
EVIDENCE = LAB / "evidence"
LOGS = LAB / "logs"
STATE = LAB / "state"


def shown(path: Path) -> str:
    """The path as a person in the repository would type it."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)

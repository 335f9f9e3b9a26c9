"""Python environments apart from the lab's own, each from a lock file: made on first use, and when the lock changes."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lab import paths
from lab.console import run


@dataclass(frozen=True)
class Environment:
    """An environment in `folder` with the packages of `lock`, and with `source`, a package that is used in place."""

    folder: Path
    lock: Path
    source: Path | None = None

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin/python"

    def outdated(self) -> bool:
        """Whether it is missing, unfinished, or made from something else."""
        return not self._stamp.exists() or self._stamp.read_text() != self._wanted()

    def make(self) -> None:
        """Makes it where it is outdated; where it is not, the network is not touched. Raises LabError."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(f".{self.folder.name}.lock")):
            if not self.outdated():
                return
            log = paths.LOGS / f"install-{self.folder.name}.log"
            run([sys.executable, "-m", "venv", "--clear", str(self.folder)], log)
            pip = [
                *(str(self.python), "-m", "pip", "install"),
                *("--quiet", "--disable-pip-version-check", "--no-deps"),
            ]
            run([*pip, "--require-hashes", "-r", str(self.lock)], log)
            if self.source:
                run([*pip, "--no-build-isolation", "--editable", str(self.source)], log)
            self._stamp.write_text(self._wanted())

    @property
    def _stamp(self) -> Path:
        return self.folder / ".installed"

    def _wanted(self) -> str:
        """A hash of what it is made from. Its folder is part of that: its programs name their interpreter's path."""
        content = self.lock.read_bytes() + str(self.folder).encode()
        if self.source:
            content += (self.source / "pyproject.toml").read_bytes() + str(self.source.resolve()).encode()
        return hashlib.sha256(content).hexdigest()

"""What a person sees: one line per step, an error that says what to do, and the details in a log file."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from lab import paths

# a log file is as wide as it needs to be
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
errors = Console(highlight=False, soft_wrap=True, stderr=True)  # `make env` is evaluated by a shell


class LabError(Exception):
    """Something the user can act on: the message says what is wrong, where, and what to do next."""


class Step:
    """A running step: `detail` replaces what is shown beside its name, `result` what stays when it is done."""

    def __init__(self, name: str, status: Status) -> None:
        self.name = name
        self.result = ""
        self._status = status
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def detail(self, text: str) -> None:
        self._status.update(f"{escape(self.name)} [dim]{escape(text)}[/dim]")


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Shows progress while the block runs, and one line when it is done."""
    with console.status(escape(name)) as status:
        running = Step(name, status)
        if not console.is_terminal:
            console.print(f"… {name}", style="dim", markup=False)
        yield running
    took = f"{running.seconds:.1f} s"
    console.print(f"[green]✓[/green] {escape(running.result or name)} [dim]({took})[/dim]")


def run(command: list[str], log: Path, cwd: Path = paths.ROOT, env: Mapping[str, str] | None = None) -> None:
    """Runs a command with its output in `log`.

    Raises LabError with the end of the log when the command fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode())
        output.flush()
        done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    if done.returncode:
        raise LabError(
            f"{command[0]} ended with status {done.returncode}:\n{tail(log)}\nThe whole log: {paths.shown(log)}"
        )


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log file."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])

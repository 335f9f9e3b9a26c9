"""The lab's own Python environment: made once, also by two commands at once, and again when the lock file changes."""

import fcntl
import subprocess
from pathlib import Path
from typing import IO, Any

import pytest

from lab import setup


class Programs:
    """In place of the programs that are run: what was run, and with which exit status each ends."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.status = 0

    def run(self, command: list[str], stdout: Any, **_: Any) -> subprocess.CompletedProcess[bytes]:
        self.ran.append(command[2])
        Path(command[-1]).mkdir(exist_ok=True) if "venv" in command else stdout.write(b"no such package")
        stdout.flush()
        return subprocess.CompletedProcess(command, self.status if "pip" in command else 0)


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    programs = Programs()
    monkeypatch.setattr(subprocess, "run", programs.run)
    return programs


def test_it_is_made_once_until_the_lock_file_changes(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        setup.install(tmp_path / "lab")
    assert programs.ran == ["venv", "pip"]

    monkeypatch.setattr(setup, "LOCK_FILE", tmp_path / "another.lock")
    setup.LOCK_FILE.touch()
    for _ in range(2):
        setup.install(tmp_path / "lab")

    assert programs.ran == ["venv", "pip"] * 2


def test_what_another_command_has_made_meanwhile_is_not_made_again(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waits_for_the_other(file: IO[str], operation: int) -> None:
        assert operation == fcntl.LOCK_EX
        monkeypatch.setattr(fcntl, "flock", lambda file, operation: None)
        setup.install(Path(file.name).parent)
        assert programs.ran == ["venv", "pip"]
        programs.ran.clear()

    monkeypatch.setattr(fcntl, "flock", waits_for_the_other)

    setup.install(tmp_path / "lab")

    assert programs.ran == []


def test_a_package_that_cannot_be_installed(programs: Programs, tmp_path: Path) -> None:
    programs.status = 1

    with pytest.raises(
        ValueError, match=r"^python -m pip install failed:\nno such package\nThe whole log: .*/setup\.log$"
    ):
        setup.install(tmp_path / "lab")

    programs.status = 0
    setup.install(tmp_path / "lab")
    assert programs.ran == ["venv", "pip"] * 2


def test_a_folder_of_somebody_elses(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()

    with pytest.raises(ValueError, match="is not empty, and the lab has not made it"):
        setup.install(tmp_path)

    assert programs.ran == []
    assert [file.name for file in tmp_path.iterdir()] == ["precious"]

"""What the tests of the lab share: folders of their own instead of the repository's, and a port of their own."""

import re
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import paths
from lab.deployment import RUN_VARIABLE


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the person who runs the tests chose (`make test TARGET=aws KEEP=1`) is not meant for the code under test.

    Nor is what make tells a make that it runs, nor which run of tests this is.
    """
    exported = re.findall(r"^VARIABLES [:+]= (.*)$", (paths.ROOT / "Makefile").read_text(), re.MULTILINE)
    for name in [*" ".join(exported).split(), "MAKEFLAGS", "MAKELEVEL", "MFLAGS", RUN_VARIABLE]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lab_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of `.lab`, for code that runs in this process."""
    folder = tmp_path / "lab"
    monkeypatch.setattr(paths, "LAB", folder)
    for name in ("BUILD", "EVIDENCE", "LOGS", "STATE"):
        monkeypatch.setattr(paths, name, folder / name.lower())
    return folder


@pytest.fixture
def install() -> Callable[[Path], None]:
    """Makes a lab's folder, with the Python environment that runs these tests in the place of its own."""

    def make(lab_dir: Path) -> None:
        paths.claim(lab_dir)
        venv = lab_dir / "venv"
        venv.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (venv / name).symlink_to(Path(sys.prefix) / name)
        shutil.copy(paths.ROOT / "requirements.lock", venv / ".installed")

    return make


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def fake_terraform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a `terraform` first on PATH that runs the given Python code, and returns the file it is in.

    It answers `version` like a recent Terraform unless the code does; `arguments` holds what it was called with.
    """

    def put(code: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "terraform"
        program.write_text(
            f"#!{sys.executable} -I\n"
            "import json, os, pathlib, signal, sys\n"
            "arguments = sys.argv[1:]\n"
            f"{code}\n"
            "if arguments[0] == 'version':\n"
            "    print(json.dumps({'terraform_version': '1.11.4'}))\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return program

    return put

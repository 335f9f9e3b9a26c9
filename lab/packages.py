"""Builds one zip per function folder and per layer: same input, same bytes, on any machine and at any time.

Terraform compares the hash of a zip, so a byte that depends on the machine is a deployment that nobody asked for.
Three things differ between machines and are therefore fixed: the order of the entries, their times and modes, and
the compressor (zlib's output depends on its version), so entries are stored uncompressed.
"""

import ast
import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lab import paths
from lab.console import LabError, run

PYTHON_VERSION = "3.13"
PLATFORMS = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB unzipped, layers included
UNZIPPED_LIMIT_BYTES = 250 * 1024 * 1024

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_LEFT_OUT_FILES = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", ".DS_Store"}  # what pip or a laptop adds


def build(pattern: str) -> list[Path]:
    """Builds the zips of a pattern's functions and of every layer; returns their paths.

    Layers are built for the architecture that Terraform's variable names, by default x86_64. Raises LabError when a
    folder holds nothing to package, or the architecture is none of Lambda's.
    """
    architecture = os.environ.get("TF_VAR_architecture") or "x86_64"  # noqa: SIM112 - Terraform spells it so
    if architecture not in PLATFORMS:
        raise LabError(f"TF_VAR_architecture={architecture} is none of Lambda's: {', '.join(PLATFORMS)}.")
    functions = sorted(p for p in (paths.PATTERNS / pattern / "functions").iterdir() if p.is_dir())
    layers = sorted(p for p in paths.LAYERS.iterdir() if p.is_dir())
    built = []
    with FileLock(_made(paths.BUILD) / ".lock"):
        for folder in functions:
            check_function(folder)
            built.append(write_zip(folder, paths.BUILD / pattern / f"{folder.name}.zip"))
        for folder in layers:
            built.append(build_layer(folder, paths.BUILD / "layers" / f"{folder.name}.zip", architecture))
    return built


def check_function(folder: Path) -> None:
    """Raises LabError when Lambda could not load the function's code: no app.py, or a file that is not Python."""
    if not (folder / "app.py").is_file():
        raise LabError(f"{paths.shown(folder)} has no app.py: its handler is app.handler.")
    for file in folder.rglob("*.py"):
        try:
            ast.parse(file.read_bytes())
        except (SyntaxError, ValueError) as error:
            raise LabError(f"{paths.shown(file)} is not Python that can be loaded: {error}") from error


def build_layer(folder: Path, target: Path, architecture: str = "x86_64") -> Path:
    """Builds a layer's zip from its `python/` folder and its locked `requirements.txt` (each is optional).

    Packages are the ones for the Lambda runtime's Python and architecture, not the machine's.
    """
    requirements = folder / "requirements.txt"
    stamp = target.with_suffix(".sha256")
    digest = _digest(folder, architecture)
    if target.exists() and stamp.exists() and stamp.read_text() == digest:
        return target
    with tempfile.TemporaryDirectory() as scratch:
        content = Path(scratch) / "python"
        if (folder / "python").is_dir():
            shutil.copytree(folder / "python", content)
        if requirements.exists():
            run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
                    *("--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON_VERSION),
                    *("--platform", PLATFORMS[architecture], "--target", str(content), "-r", str(requirements)),
                ],
                log=paths.LOGS / "build.log",
            )
            shutil.rmtree(content / "bin", ignore_errors=True)  # scripts that name the machine's Python
        write_zip(Path(scratch), target, source=folder)
    stamp.write_text(digest)
    return target


def write_zip(folder: Path, target: Path, source: Path | None = None) -> Path:
    """Writes the files below `folder` to the zip `target`; a zip with the same bytes is left untouched.

    Raises LabError, naming `source` where the folder is only a copy of it, when there is nothing to package, or more
    than Lambda takes.
    """
    files = list(_files(folder))
    if not files:
        raise LabError(f"Nothing to package in {paths.shown(source or folder)}.")
    if (size := sum(file.stat().st_size for file in files)) > UNZIPPED_LIMIT_BYTES:
        raise LabError(f"{paths.shown(source or folder)} is {size / 1e6:.0f} MB; Lambda takes at most 250 MB unzipped.")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            entry.create_system = 3  # Unix, also when built elsewhere
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, file.read_bytes())
    if target.exists() and target.read_bytes() == partial.read_bytes():
        partial.unlink()
    else:
        partial.replace(target)
    return target


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        if path.is_file() and path.suffix != ".pyc" and path.name not in _LEFT_OUT_FILES:
            yield path


def _digest(folder: Path, *more: str) -> str:
    """A hash over the names and contents of a folder's files."""
    digest = hashlib.sha256("|".join((PYTHON_VERSION, *more)).encode())
    for file in _files(folder):
        content = file.read_bytes()
        digest.update(f"\0{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

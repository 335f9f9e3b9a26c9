"""`make new`: a pattern that works as it is made, and names that a pattern cannot have."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import new, paths
from lab.console import LabError
from lab.deployment import patterns

NAME = f"drop-{secrets.token_hex(3)}"  # of this process: others may run these tests at the same time


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Path]:
    """A copy of the repository, with the pattern; what tests of the pattern leave in the lab's folder goes with it."""
    copy = tmp_path / "repository"
    made = shutil.ignore_patterns(".git", ".lab*", ".terraform*", "__pycache__", ".*_cache", paths.LOCALSTACK_HOST.name)
    shutil.copytree(paths.ROOT, copy, ignore=made)
    # The environments, which the copy shares, are made from the repository's own: from another they are made anew.
    (copy / paths.LOCALSTACK_HOST.name).symlink_to(paths.LOCALSTACK_HOST)
    done = lab(copy, "new")
    assert done.returncode == 0, done.stderr
    yield copy
    for folder in (paths.BUILD, paths.EVIDENCE, paths.STATE):
        shutil.rmtree(folder / NAME, ignore_errors=True)


def lab(repository: Path, *command: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    return run(repository, "-m", "lab", *command, name=name)


def run(repository: Path, *arguments: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    """Python in a copy of the repository, with the environments and the LocalStack of this one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
        "LAB_DIR": str(paths.LAB),
        "PATTERN": name,
        "PYTHONPATH": ".:lambdas/fault_injection/python",
    }
    return subprocess.run(
        [sys.executable, *arguments], cwd=repository, env=environment, capture_output=True, text=True, timeout=1000
    )


@pytest.mark.timeout(1200)
def test_a_new_pattern_passes_its_own_tests_and_every_check(repository: Path) -> None:
    """Its functions' tests and its experiment, on the target; and once `make docs` has written what that observed,
    Terraform's tests (which hold it to the contract), lint, types, conventions, and the docs check.
    """
    tested = run(repository, "-m", "pytest", "-rp", f"patterns/{NAME}/tests")
    written = lab(repository, "docs")
    checks = ["lint", "docs", "conventions", "terraform_conventions"]
    checked = run(repository, "-m", "pytest", "-v", *(f"tests/test_{each}.py" for each in checks), "-k", NAME)

    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert f"PASSED patterns/{NAME}/tests/test_failures.py::test_a_poison_message_ends_in" in tested.stdout
    assert f"wrote patterns/{NAME}/README.md" in written.stdout, written.stderr
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for each in checks:
        assert f"test_{each}.py::" in checked.stdout


def test_its_readme_is_what_the_docs_check_wants_before_anything_ran(repository: Path) -> None:
    checked = run(repository, "-m", "pytest", "-q", "tests/test_docs.py", "-k", f"generated_parts and {NAME}")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_is_made_says_its_own_name_only(repository: Path) -> None:
    made = repository / "patterns" / NAME

    files = {str(file.relative_to(made)): file.read_text() for file in made.rglob("*") if file.is_file()}

    assert f"tests/{NAME.replace('-', '_')}.tftest.hcl" in files
    assert files["README.md"].startswith(f"# {NAME.replace('-', ' ').capitalize()}: ")
    assert not [name for name, text in files.items() if "new" in name or "new-pattern" in text or "new_pattern" in text]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "Say PATTERN=<name>"),
        ("fanout", "The name fanout is taken"),
        ("layers", "The name layers is taken"),
        ("Fanout", "lowercase"),
        ("a--b", "lowercase"),
        ("../else", "lowercase"),
        ("-x", "lowercase"),
        ("x" * 33, "at most 32"),
        ("fanout-fifo", "one name begins the other"),
        ("queue", "one name begins the other"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_and_nothing_is_made(name: str, says: str) -> None:
    before = patterns()

    with pytest.raises(LabError, match=says):
        new.make(name)

    assert patterns() == before


def test_a_folder_that_is_no_pattern_yet_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PATTERNS", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")

    with pytest.raises(LabError, match="taken"):
        new.make("mine")

    assert [file.name for file in tmp_path.rglob("*")] == ["mine", "notes.txt"]

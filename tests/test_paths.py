"""The lab's folder: made and removed only where it is the lab's own, whatever its name is."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import paths

Make = Callable[..., subprocess.CompletedProcess[str]]
Install = Callable[[Path], None]

NAMES = ["my-lab", "two words", 'it\'s a "lab" of `$HOME`; & more', "deep/er"]


def foreign(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "precious").touch()
    return folder


class TestWrite:
    def test_whoever_reads_meanwhile_has_all_of_the_old_text(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        paths.write(file, "old")

        with file.open() as being_read:
            paths.write(file, "new, and longer")

            assert being_read.read() == "old"
        assert file.read_text() == "new, and longer"

    def test_its_mode_is_that_of_any_new_file(self, tmp_path: Path) -> None:
        (tmp_path / "any").touch()
        paths.write(tmp_path / "file", "text")

        assert (tmp_path / "file").stat().st_mode == (tmp_path / "any").stat().st_mode

    def test_one_that_cannot_be_written_leaves_the_old_text_and_nothing_else(self, tmp_path: Path) -> None:
        paths.write(tmp_path / "file", "old")

        with pytest.raises(UnicodeEncodeError):
            paths.write(tmp_path / "file", "\ud800")

        assert [file.name for file in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_text() == "old"


class TestClaim:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_folder_that_is_new_is_made_and_marked(self, tmp_path: Path, name: str) -> None:
        paths.claim(tmp_path / name)
        paths.claim(tmp_path / name)

        assert [file.name for file in (tmp_path / name).iterdir()] == [paths.MARK]

    def test_an_empty_one_is_the_labs(self, tmp_path: Path) -> None:
        paths.claim(tmp_path)

        assert (tmp_path / paths.MARK).exists()

    def test_the_repositorys_own_is_the_labs_also_without_a_mark(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(paths, "DEFAULT", foreign(tmp_path / ".lab"))

        paths.claim(tmp_path / ".lab")

        assert (tmp_path / ".lab" / paths.MARK).exists()

    def test_one_with_something_in_it_and_without_a_mark_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=rf"^LAB_DIR={tmp_path}/work is not empty, and the lab has not made it"):
            paths.claim(foreign(tmp_path / "work"))

        assert [file.name for file in (tmp_path / "work").iterdir()] == ["precious"]

    def test_a_file_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()

        with pytest.raises(ValueError, match="is not a folder"):
            paths.claim(tmp_path / "file")

    @pytest.mark.parametrize("folder", [Path("/"), paths.ROOT, paths.ROOT.parent])
    def test_what_holds_the_repository_is_not_even_with_a_mark(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "exists", lambda self: True)

        with pytest.raises(ValueError, match="holds this repository"):
            paths.claim(folder)

    def test_the_home_folder_is_not_though_it_is_empty(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home").mkdir()

        for folder in (tmp_path / "home", tmp_path):
            with pytest.raises(ValueError, match="holds your home folder"):
                paths.claim(folder)
        assert list((tmp_path / "home").iterdir()) == []


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what the Makefile needs: what it removes beside the lab's folder is not this repository's."""
    copy = tmp_path / "repository"
    for folder in ("lab", "lambdas/fault_injection/python"):
        shutil.copytree(paths.ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("Makefile", "requirements.lock"):
        shutil.copy(paths.ROOT / file, copy)
    (copy / "localstack-host").mkdir()
    for kind in ("patterns", "modules"):
        (copy / kind / "one/.terraform").mkdir(parents=True)
        (copy / kind / "one/.terraform.lock.hcl").touch()
        (copy / kind / "one/main.tf").touch()
    return copy


@pytest.fixture
def make(repository: Path, tmp_path: Path) -> Make:
    """Runs `make` in that copy."""
    (tmp_path / "home").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", f"PYTHON={sys.executable}", *arguments],
            cwd=repository, env={**os.environ, "HOME": str(tmp_path / "home")}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


class TestMake:
    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("relative", [False, True], ids=["absolute", "relative"])
    def test_every_name_works_and_clean_removes_that_folder_alone(
        self, repository: Path, make: Make, install: Install, tmp_path: Path, name: str, relative: bool
    ) -> None:
        folder = (repository if relative else tmp_path) / name
        others = [foreign(folder.parent / other) for other in ("it", "two", "words", "elsewhere")]
        install(folder)
        given = f"LAB_DIR={name if relative else folder}"

        assert make("status", given).stdout == "LocalStack is not running: make up\nNothing is deployed.\n"
        cleaned = make("clean", given)

        assert cleaned.returncode == 0, cleaned.stderr
        assert not folder.exists()
        assert all((other / "precious").exists() for other in others)
        assert sorted(path.name for path in repository.glob("*/one/*")) == ["main.tf", "main.tf"]
        assert sorted(path.name for path in repository.glob("*/one/.terraform*")) == []

    def test_the_folder_that_nobody_names(self, repository: Path, make: Make, install: Install) -> None:
        for given in ([], ["LAB_DIR="]):
            install(repository / ".lab")
            assert make("clean", *given).returncode == 0
            assert not (repository / ".lab").exists()

    def test_clean_where_nothing_was_made(self, repository: Path, make: Make) -> None:
        assert make("clean").returncode == 0
        assert not (repository / ".lab").exists()

    @pytest.mark.parametrize("command", ["clean", "status", "up", "setup"])
    def test_a_folder_of_somebody_elses_is_left_alone(self, make: Make, tmp_path: Path, command: str) -> None:
        victims = [foreign(tmp_path / name) for name in ("vict", "vict dir")]
        program = tmp_path / "vict dir/venv/bin/python"  # it would be run
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
        program.chmod(0o755)

        done = make(command, f"LAB_DIR={tmp_path}/vict dir")

        assert done.returncode != 0
        assert f"✗ LAB_DIR={tmp_path}/vict dir is not empty, and the lab has not made it" in done.stderr
        assert "Traceback" not in done.stderr
        assert all((victim / "precious").exists() for victim in victims)
        assert not (tmp_path / "ran").exists()
        assert not (tmp_path / "vict dir/logs").exists()

    @pytest.mark.parametrize("command", ["clean", "up"])
    def test_the_home_folder_and_the_root_are_refused(self, make: Make, tmp_path: Path, command: str) -> None:
        for folder in (tmp_path / "home", Path("/"), Path("..")):
            done = make(command, f"LAB_DIR={folder}")

            assert "Name a folder for the lab alone." in done.stderr
            assert done.returncode != 0
        assert list((tmp_path / "home").iterdir()) == []

    def test_what_is_typed_arrives_as_it_is(self, repository: Path, make: Make, install: Install) -> None:
        """make alone would expand a $, which is part of what JMESPath and JSON may hold."""
        install(repository / ".lab")
        (repository / ".lab/venv/bin").unlink()
        (repository / ".lab/venv/bin").mkdir()
        program = repository / ".lab/venv/bin/python"
        program.write_text('#!/bin/sh\nprintf "%s" "$PARAMETERS|$WHEN|$ID"\n')
        program.chmod(0o755)
        typed = {"PARAMETERS": '{"message": "$x $(shell id) $$"}', "WHEN": "a == '#1' && `$`", "ID": "it's"}

        done = make("fault", *(f"{name}={value}" for name, value in typed.items()))

        assert done.stdout == "|".join(typed.values())

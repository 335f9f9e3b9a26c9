"""The packager: same input, same bytes; a broken folder is refused with a message that names it."""

import hashlib
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lab import packages, paths
from lab.console import LabError

FILES = {"app.py": "import orders\n", "orders/__init__.py": "", "orders/pricing.py": "VAT = 19\n", "data.json": "{}"}


def make_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def zipped(folder: Path, target: Path) -> str:
    return digest(packages.write_zip(folder, target))


@pytest.fixture
def repository(tmp_path: Path, lab_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one pattern of two functions, and one layer without requirements."""
    root = tmp_path / "repository"
    monkeypatch.setattr(paths, "ROOT", root)
    monkeypatch.setattr(paths, "PATTERNS", root / "patterns")
    monkeypatch.setattr(paths, "LAYERS", root / "lambdas")
    make_folder(root / "patterns/fanout/functions/billing", {"app.py": "def handler(event, context): ...\n"})
    make_folder(root / "patterns/fanout/functions/shipping", {"app.py": "def handler(event, context): ...\n"})
    make_folder(root / "lambdas/handlers/python", {"handlers/sqs.py": "NAME = 'sqs'\n"})
    return root


class TestSameInputSameBytes:
    def test_times_order_and_modes_do_not_matter(self, tmp_path: Path) -> None:
        one = make_folder(tmp_path / "one", FILES)
        other = make_folder(tmp_path / "other", dict(reversed(FILES.items())))
        for number, file in enumerate(sorted(other.rglob("*"))):
            file.chmod(0o700)
            os.utime(file, (1_000_000_000 + number, 1_000_000_000 + number))

        assert zipped(one, tmp_path / "one.zip") == zipped(other, tmp_path / "other.zip")

    @pytest.mark.parametrize(
        "litter", ["__pycache__/app.cpython-313.pyc", "orders/__pycache__/pricing.cpython-313.pyc", "orders/.DS_Store"]
    )
    def test_what_a_machine_leaves_behind_does_not_matter(self, tmp_path: Path, litter: str) -> None:
        clean = make_folder(tmp_path / "clean", FILES)
        littered = make_folder(tmp_path / "littered", FILES | {litter: "left behind"})

        assert zipped(clean, tmp_path / "clean.zip") == zipped(littered, tmp_path / "littered.zip")

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"data.json": "[]"}, id="a changed byte"),
            pytest.param({"more.py": ""}, id="an added empty file"),
            pytest.param({"orders/pricing.py": "VAT = 7\n"}, id="a changed file in a package"),
        ],
    )
    def test_a_change_of_the_code_is_a_change_of_the_hash(self, tmp_path: Path, change: dict[str, str]) -> None:
        before = make_folder(tmp_path / "before", FILES)
        after = make_folder(tmp_path / "after", FILES | change)

        assert zipped(before, tmp_path / "before.zip") != zipped(after, tmp_path / "after.zip")

    def test_a_moved_file_is_a_change_of_the_hash(self, tmp_path: Path) -> None:
        before = make_folder(tmp_path / "before", FILES)
        after = make_folder(tmp_path / "after", FILES)
        (after / "data.json").rename(after / "orders/data.json")

        assert zipped(before, tmp_path / "before.zip") != zipped(after, tmp_path / "after.zip")

    def test_entries_are_sorted_stored_and_have_fixed_times_and_modes(self, tmp_path: Path) -> None:
        target = packages.write_zip(make_folder(tmp_path / "code", FILES), tmp_path / "code.zip")

        with zipfile.ZipFile(target) as archive:
            entries = archive.infolist()
        assert [entry.filename for entry in entries] == sorted(FILES)
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
        assert {entry.create_system for entry in entries} == {3}

    def test_these_bytes_are_the_same_on_every_machine(self, tmp_path: Path) -> None:
        target = packages.write_zip(make_folder(tmp_path / "code", {"app.py": "handler = print\n"}), tmp_path / "a.zip")

        # Recorded once; another Python that writes other bytes would redeploy every function.
        assert digest(target) == "55bac0dfbaf2c4c76bb04e54033a75fef2f536d420d50663b11a30b437d9aa72"

    def test_a_second_build_leaves_the_files_untouched(self, repository: Path) -> None:
        first = {file: file.stat() for file in packages.build("fanout")}

        second = {file: file.stat() for file in packages.build("fanout")}

        assert len(first) == 3
        assert {file: (stat.st_ino, stat.st_mtime_ns) for file, stat in first.items()} == {
            file: (stat.st_ino, stat.st_mtime_ns) for file, stat in second.items()
        }

    def test_a_build_leaves_nothing_but_zips_and_their_stamps(self, repository: Path) -> None:
        packages.build("fanout")
        packages.build("fanout")

        made = sorted(str(file.relative_to(paths.BUILD)) for file in paths.BUILD.rglob("*") if file.is_file())
        assert made == [
            ".lock",
            "fanout/billing.zip",
            "fanout/shipping.zip",
            "layers/handlers.sha256",
            "layers/handlers.zip",
        ]

    def test_a_change_reaches_only_the_zip_that_it_is_in(self, repository: Path) -> None:
        before = {file.name: digest(file) for file in packages.build("fanout")}
        (repository / "patterns/fanout/functions/billing/app.py").write_text("handler = print\n")

        after = {file.name: digest(file) for file in packages.build("fanout")}

        assert {name for name in before if before[name] != after[name]} == {"billing.zip"}


class TestLayers:
    def test_a_layer_is_its_python_folder(self, repository: Path, tmp_path: Path) -> None:
        target = packages.build_layer(repository / "lambdas/handlers", tmp_path / "handlers.zip")

        with zipfile.ZipFile(target) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == {
                "python/handlers/sqs.py": b"NAME = 'sqs'\n"
            }

    def test_a_change_of_its_code_rebuilds_it(self, repository: Path, tmp_path: Path) -> None:
        folder, target = repository / "lambdas/handlers", tmp_path / "handlers.zip"
        before = digest(packages.build_layer(folder, target))
        (folder / "python/handlers/sqs.py").write_text("NAME = 'other'\n")

        assert digest(packages.build_layer(folder, target)) != before

    def test_a_lost_zip_is_built_again(self, repository: Path, tmp_path: Path) -> None:
        folder, target = repository / "lambdas/handlers", tmp_path / "handlers.zip"
        before = digest(packages.build_layer(folder, target))
        target.unlink()

        assert digest(packages.build_layer(folder, target)) == before

    @pytest.mark.parametrize(
        ("architecture", "wanted"), [("x86_64", b"manylinux2014_x86_64"), ("arm64", b"manylinux2014_aarch64")]
    )
    def test_its_packages_are_those_of_the_lambda_runtime_not_of_the_machine(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, architecture: str, wanted: bytes
    ) -> None:
        index = tmp_path / "wheels"
        hashes = [
            make_wheel(index, f"cp313-cp313-{platform}", platform)
            for platform in ("manylinux2014_x86_64", "manylinux2014_aarch64", "macosx_11_0_arm64", "win_amd64")
        ]
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))
        folder = make_folder(
            repository / "lambdas/native",
            {"requirements.txt": "native==1.0 \\\n" + " \\\n".join(f"    --hash=sha256:{h}" for h in hashes) + "\n"},
        )

        target = packages.build_layer(folder, tmp_path / "native.zip", architecture)

        with zipfile.ZipFile(target) as archive:
            names = archive.namelist()
            assert archive.read("python/native.py") == b"BUILT_FOR = '" + wanted + b"'\n"
        assert not [name for name in names if name.endswith(("RECORD", "INSTALLER", "direct_url.json"))]
        assert not [name for name in names if name.startswith("python/bin/")]

    def test_a_package_with_another_hash_is_refused_with_the_log(
        self, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_wheel(tmp_path / "wheels", "py3-none-any", "any")
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
        locked = f"native==1.0 --hash=sha256:{'0' * 64}\n"
        folder = make_folder(repository / "lambdas/native", {"requirements.txt": locked})

        with pytest.raises(LabError) as refused:
            packages.build_layer(folder, tmp_path / "native.zip")

        assert "DO NOT MATCH THE HASHES" in str(refused.value)
        assert str(paths.LOGS / "build.log") in str(refused.value)
        assert not (tmp_path / "native.zip").exists()


class TestBrokenInput:
    def test_a_function_without_app_py(self, repository: Path) -> None:
        (repository / "patterns/fanout/functions/billing/app.py").rename(
            repository / "patterns/fanout/functions/billing/main.py"
        )

        with pytest.raises(LabError, match=r"^patterns/fanout/functions/billing has no app\.py"):
            packages.build("fanout")

    @pytest.mark.parametrize("content", [b"def handler(event, context)\n", b"x = '\xff'\n", b"a\0b\n"])
    def test_a_file_that_is_not_python(self, repository: Path, content: bytes) -> None:
        (repository / "patterns/fanout/functions/billing/orders.py").write_bytes(content)

        with pytest.raises(LabError, match=r"^patterns/fanout/functions/billing/orders\.py is not Python"):
            packages.build("fanout")

    def test_an_empty_layer_is_named(self, repository: Path) -> None:
        (repository / "lambdas/empty").mkdir()

        with pytest.raises(LabError, match=r"^Nothing to package in lambdas/empty\.$"):
            packages.build("fanout")

    def test_a_folder_that_holds_only_litter_is_empty(self, tmp_path: Path) -> None:
        folder = make_folder(tmp_path / "code", {"__pycache__/app.cpython-313.pyc": "", ".DS_Store": ""})

        with pytest.raises(LabError, match="Nothing to package"):
            packages.write_zip(folder, tmp_path / "code.zip")

    def test_a_function_that_is_too_large(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "UNZIPPED_LIMIT_BYTES", 40)
        (repository / "patterns/fanout/functions/billing/data.json").write_text("0" * 41)

        with pytest.raises(LabError, match=r"^patterns/fanout/functions/billing is .*Lambda takes at most 250 MB"):
            packages.build("fanout")

    def test_a_layer_that_is_too_large_is_named(self, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packages, "UNZIPPED_LIMIT_BYTES", 40)
        (repository / "lambdas/handlers/python/data.json").write_text("0" * 41)

        with pytest.raises(LabError, match=r"^lambdas/handlers is .*Lambda takes at most 250 MB"):
            packages.build("fanout")

    def test_a_broken_function_leaves_the_zip_of_the_last_build(self, repository: Path) -> None:
        packages.build("fanout")
        before = digest(paths.BUILD / "fanout/billing.zip")
        (repository / "patterns/fanout/functions/billing/app.py").write_text("def\n")

        with pytest.raises(LabError):
            packages.build("fanout")

        assert digest(paths.BUILD / "fanout/billing.zip") == before


def make_wheel(index: Path, tag: str, built_for: str) -> str:
    """Writes a wheel of the package `native` 1.0 with a script; returns its hash."""
    index.mkdir(exist_ok=True)
    file = index / f"native-1.0-{tag}.whl"
    content: dict[str, Any] = {
        "native.py": f"BUILT_FOR = '{built_for}'\n",
        "native-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: native\nVersion: 1.0\n",
        "native-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n",
        "native-1.0.dist-info/entry_points.txt": "[console_scripts]\nnative = native:main\n",
        "native-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return digest(file)


def test_an_unknown_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_VAR_architecture", "sparc")

    with pytest.raises(LabError, match="TF_VAR_architecture=sparc is none of Lambda's: x86_64, arm64"):
        packages.build("fanout")

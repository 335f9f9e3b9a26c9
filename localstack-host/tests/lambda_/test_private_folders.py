"""A function has /tmp to itself and finds its layers in /opt, where the operating system allows that.

Where it does not, the tests state what happens instead: the start of LocalStack says so.
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import FUNCTION_PYTHON, PYTHON, Gate, Instance, archive, unique

FIND = """
import localstack_host.lambda_.private_folders as private, sys
print(private.__file__)
"""


@pytest.fixture(scope="module")
def usable(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Found out as LocalStack's start does."""
    module = subprocess.run([PYTHON, "-c", FIND], check=True, capture_output=True, text=True).stdout.strip()
    folder = str(tmp_path_factory.mktemp("usable"))
    found = subprocess.run([FUNCTION_PYTHON, "-P", module, folder], check=False, capture_output=True, text=True)
    return found.stdout.strip().split(":")


def test_what_is_not_private_is_said_at_the_start(localstack: Instance, usable: list[str]) -> None:
    for folder in ("/tmp", "/opt"):
        said = f"Functions share this machine's {folder}" in localstack.log()
        assert said == (folder not in usable)


def test_tmp_is_private_to_an_environment_and_stays(localstack: Instance, usable: list[str], gate: Gate) -> None:
    source = """
import os, tempfile
from pathlib import Path
def handler(event, context):
    mark = Path("/tmp" if event["literal"] else tempfile.gettempdir(), event["mark"])
    before = mark.exists()
    mark.write_text("x")
    WAIT
    return before, os.getpid()
"""
    function = localstack.create_function(source.replace("WAIT", gate.wait), Timeout=60)
    mark = unique("localstack-host-mark")

    def two_at_once() -> set[tuple[bool, int]]:
        event = {"mark": mark, "literal": "/tmp" in usable}
        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(localstack.invoke, function, event) for _ in range(2)]
            with gate.held(2):
                pass
            return {tuple(one.result()[0]) for one in running}

    first, second = two_at_once(), two_at_once()

    assert [before for before, _ in first] == [False, False]
    assert second == {(True, pid) for _, pid in first}
    assert not Path("/tmp", mark).exists()


def test_files_of_a_layer_are_where_a_handler_looks(localstack: Instance, usable: list[str]) -> None:
    layer = localstack.client("lambda").publish_layer_version(
        LayerName=unique("layer"),
        Content={"ZipFile": archive({"python/shared.py": "", "etc/rules.json": "[1]"})},
    )["LayerVersionArn"]
    source = """
import os, shared
from pathlib import Path
def handler(event, context):
    root = Path(shared.__file__).parents[1]
    try:
        (root / "new").write_text("x")
    except OSError as error:
        return str(root), (root / "etc/rules.json").read_text(), type(error).__name__
    return str(root), (root / "etc/rules.json").read_text(), ""
"""
    with_layer = localstack.create_function(source, Layers=[layer])

    (root, rules, error), _ = localstack.invoke(with_layer)

    assert rules == "[1]"
    if "/opt" in usable:
        assert (root, error) == ("/opt", "OSError")
        without = localstack.create_function("import os\ndef handler(event, context): return os.listdir('/opt')")
        assert localstack.invoke(without) == ([], None)
    else:
        assert root.startswith(str(localstack.folder.resolve()))


def test_the_machine_keeps_its_own_folders(localstack: Instance) -> None:
    before = sorted(Path("/opt").iterdir()) if Path("/opt").exists() else []
    source = "def handler(event, context): return 'ran'"

    assert localstack.invoke(localstack.create_function(source)) == ("ran", None)

    assert before == (sorted(Path("/opt").iterdir()) if Path("/opt").exists() else [])
    mounts = Path("/proc/self/mountinfo")
    assert not mounts.exists() or str(localstack.folder.resolve()) not in mounts.read_text()

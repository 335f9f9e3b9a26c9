"""Every static check, each with the real tool: what `make lint` runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lab import asl, paths, terraform
from lab.contract import Contract
from lab.environments import Environment

PYTHON_TOOLS = Path(sys.executable).parent
TYPED = ["lab", *map(paths.shown, sorted(paths.LAYERS.glob("*/python"))), "tests"]
TYPED += ["localstack-host/src", "localstack-host/tests"]
# Each function is the only `app` that its environment knows, and each pattern has tests of the same names.
TYPED_ALONE = sorted(place for of in ("functions/*/", "tests/test_*.py") for place in paths.PATTERNS.glob(f"*/{of}"))
TERRAFORM_FOLDERS = sorted(file.parent for root in (paths.MODULES, paths.PATTERNS) for file in root.glob("*/main.tf"))
DEFINITIONS = sorted(paths.PATTERNS.glob("*/statemachine/*.asl.json"))

CHECKS = {
    "ruff check": [str(PYTHON_TOOLS / "ruff"), "check", "."],
    "ruff format": [str(PYTHON_TOOLS / "ruff"), "format", "--check", "."],
    "mypy": [str(PYTHON_TOOLS / "mypy"), *TYPED],
    "terraform fmt": ["terraform", "fmt", "-check", "-diff", "-recursive", "modules", "patterns", "tests", "lab"],
}
if shutil.which("tflint"):  # its plugins come from GitHub, so that it is part of CI rather than of every machine
    CHECKS["tflint"] = ["tflint", "--recursive", f"--config={paths.ROOT / '.tflint.hcl'}"]


def run(command: list[str], folder: Path, workspace: str = "default") -> subprocess.CompletedProcess[str]:
    """Runs a command as the lab runs Terraform."""
    environment = {**os.environ, **terraform.automation(workspace)}
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )


def passes(command: list[str], folder: Path = paths.ROOT) -> None:
    """Fails the test with the output of a command that fails."""
    done = run(command, folder)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def applied(folder: Path, directory: str, workspace: str, verbose: bool) -> list[dict[str, Any]]:
    """The outputs of each state that Terraform's tests in a directory apply, as they are in that state; none unless
    `verbose`, since Terraform takes a third more of processor time to write states down.

    Fails the test with Terraform's errors when one of its tests fails.
    """
    command = ["terraform", "test", f"-test-directory={directory}", "-json", *(["-verbose"] if verbose else [])]
    done = run(command, folder, workspace)

    def events(kind: str) -> list[Any]:
        # Each plan and each state has with it all that the provider has, 13 MB: only what is asked for is decoded.
        lines = (line for line in done.stdout.splitlines() if f'"type":"{kind}"' in line)
        return [event[kind] for event in map(json.loads, lines) if event["type"] == kind]

    if done.returncode:
        errors = map(terraform.readable, events("diagnostic"))
        pytest.fail("\n".join(["terraform test", *errors, done.stderr]), pytrace=False)
    return [state.get("outputs", {}) for state in events("test_state")]


@pytest.mark.parametrize("command", CHECKS.values(), ids=CHECKS.keys())
def test_tool(command: list[str]) -> None:
    passes(command)


# One worker checks all: SQLite lets one process write a cache, and the types of boto3 take most of the time to read.
@pytest.mark.xdist_group("types of the patterns")
@pytest.mark.parametrize("place", TYPED_ALONE, ids=paths.shown)
def test_types_of_a_patterns_python(place: Path) -> None:
    # The place is part of mypy's path, and what is imported from it found there first, as on Lambda.
    cache = paths.ROOT / ".mypy_cache/alone"
    passes([str(PYTHON_TOOLS / "mypy"), "--no-explicit-package-bases", f"--cache-dir={cache}", str(place)])


@pytest.fixture
def initialised(request: pytest.FixtureRequest, tmp_path: Path, run_folder: Path) -> Path:
    """A copy of a Terraform folder with its provider installed; the folder itself stays as it is.

    Around it is what its tests need of the repository: modules, mocks, a file for every zip (the mocked provider does
    not look into them), and in a pattern's folder the tests that are the same for every pattern.

    The first one of a run resolves the provider, and the others take its lock file: without one, Terraform downloads
    the provider again although it is in the plugin cache, which besides is not safe to fill from two processes.
    """
    repository = tmp_path / "repository"
    for root in ("modules", "patterns", "tests/mocks"):
        shutil.copytree(paths.ROOT / root, repository / root, ignore=shutil.ignore_patterns(".terraform*"))
    zips = [Path("layers") / layer.name for layer in paths.LAYERS.iterdir()]
    zips += [Path(function.parents[1].name) / function.name for function in paths.PATTERNS.glob("*/functions/*")]
    for name in zips:  # where build_dir's default has them
        file = repository / ".lab/build" / f"{name}.zip"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    copy: Path = repository / request.param.relative_to(paths.ROOT)
    if paths.PATTERNS in request.param.parents:
        shutil.copy(paths.ROOT / "tests/every_pattern.tftest.hcl", copy / "tests")
    locked = run_folder / ".terraform.lock.hcl"
    with FileLock(run_folder / "terraform.lock"):
        terraform.choose_provider_source()
        if locked.exists():
            shutil.copy(locked, copy)
        passes(["terraform", "init", "-backend=false", "-input=false", "-no-color"], copy)
        shutil.copy(copy / locked.name, locked)
    return copy


@pytest.mark.parametrize("initialised", TERRAFORM_FOLDERS, indirect=True, ids=paths.shown)
def test_terraform_test(initialised: Path) -> None:
    """It begins with what `terraform validate` does. Whatever a pattern's tests apply satisfies the contract."""
    is_pattern = initialised.parent.name == "patterns"
    states = applied(initialised, "tests", "default", verbose=is_pattern)
    for tests in sorted({file.parent for file in initialised.glob("tests/*/*.tftest.hcl")}):
        # They are for one workspace, and their folder is named like it.
        states += applied(initialised, str(tests.relative_to(initialised)), workspace=tests.name, verbose=is_pattern)
    if is_pattern:
        assert states, "none of its tests applies"
        for outputs in states:
            Contract.of(initialised.name, {name: output["value"] for name, output in outputs.items()})


def test_checkov() -> None:
    passes([program_of("checkov"), "--config-file", ".checkov.yaml"])


@pytest.mark.parametrize("file", DEFINITIONS, ids=paths.shown)
def test_state_machine(file: Path, tmp_path: Path) -> None:
    """cfn-lint knows the Amazon States Language; it reads a definition as part of a CloudFormation template."""
    machine = {"RoleArn": "arn:aws:iam::123456789012:role/any", "Definition": asl.definition(file)}
    template = tmp_path / "template.json"
    template.write_text(
        json.dumps({"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine}}})
    )
    passes([program_of("cfn-lint"), str(template)])


def program_of(tool: str) -> str:
    """A linter's program, from an environment of its own, since it pins what the lab needs newer."""
    environment = Environment(paths.LAB / tool, paths.ROOT / f"tests/{tool}.lock")
    environment.make()
    return str(environment.folder / "bin" / tool)


@pytest.fixture
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test run share."""
    mine = tmp_path_factory.getbasetemp()
    return mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

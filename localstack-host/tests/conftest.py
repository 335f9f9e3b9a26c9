"""One LocalStack per pytest worker, one that a test may stop, and the check that every replacement is reached."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import harness
import pytest
from harness import PYTHON, SHORT_TIMES, Gate, Instance, Lab, reuse_index, running
from localstack_host.clock.page import CLIENT, Page
from localstack_host.environment import REPLACEMENTS
from rules import CountedRules
from unreached import Unreached

INSTALL_ALL = "from localstack_host.patching import install_modules_of; install_modules_of('localstack_host')"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stock", action="store_true", help="count the rules that LocalStack keeps by itself (rules.py)")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("stock", default=False):
        harness.LAUNCHER = [str(Path(__file__).with_name("stock.py"))]
        config.pluginmanager.register(CountedRules())
    elif not config.option.collectonly:
        config.pluginmanager.register(Unreached(config, Path(__file__).parent, harness.ENVIRONMENT, all_replacements))


def all_replacements() -> set[str]:
    """What is written when every module of the extension is imported and installed."""
    environment = os.environ | {REPLACEMENTS: "/dev/stdout"}
    done = subprocess.run(
        [PYTHON, "-c", INSTALL_ALL], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.splitlines())


@pytest.fixture(scope="session")
def localstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with running(tmp_path_factory.mktemp("localstack"), *SHORT_TIMES) as instance:
        yield instance


@pytest.fixture
def gate() -> Iterator[Gate]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Gate(server)


@pytest.fixture
def own_localstack(localstack: Instance, tmp_path: Path) -> Iterator[Instance]:
    """One that the test may stop."""
    reuse_index(localstack, tmp_path)
    with running(tmp_path) as instance:
        yield instance


@pytest.fixture(scope="session")
def virtual_localstack(localstack: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("virtual")
    reuse_index(localstack, folder)
    with running(folder, "--clock", "virtual") as instance:
        yield instance


@pytest.fixture
def lab(virtual_localstack: Instance) -> Iterator[Lab]:
    page = Page(virtual_localstack.folder / "clock")
    place = page.place(CLIENT, os.getpid())
    try:
        yield Lab(virtual_localstack, page, place)
    finally:
        place.release()

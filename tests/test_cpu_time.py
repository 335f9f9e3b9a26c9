"""Whose processor time a command took: nothing is lost, and nothing is counted twice."""

import json
import subprocess
import sys

import pytest

from lab import cpu_time
from lab.cpu_time import Profile, Share

# What a script begins with. `work` works for so many seconds of processor time, whatever else the machine does.
HELPERS = """
import subprocess, sys
WORK = "import sys, time\\nwhile time.process_time() < float(sys.argv[1]): pass"

def work(seconds):
    return subprocess.Popen([sys.executable, "-c", WORK, str(seconds)])

def script(body):
    return [sys.executable, "-c", f"HELPERS = {HELPERS!r}\\nexec(HELPERS)\\n{body}"]

"""
SHORT = "for _ in range(20): work(0.1).wait()"
# Its output ends when the orphan does.
ORPHAN = "subprocess.run(script('work(2)'), stdout=subprocess.PIPE, start_new_session=True)"


def measured(body: str) -> Profile:
    """The profile of a script, taken in a process of its own: this one has children that are no part of it."""
    command = [sys.executable, "-c", f"HELPERS = {HELPERS!r}\nexec(HELPERS)\n{body}"]
    code = (
        "import json, sys\n"
        "from dataclasses import asdict\n"
        "from lab import cpu_time\n"
        "print(json.dumps(asdict(cpu_time.measure(json.loads(sys.argv[1])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(command)], stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout)
    return Profile(**found | {"shares": {kind: Share(**share) for kind, share in found["shares"].items()}})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("work(2).wait()", id="one that lives long"),
        pytest.param("a, b = work(1), work(1); a.wait(); b.wait()", id="two side by side"),
        pytest.param(SHORT, id="many that end between two looks"),
        pytest.param(f"subprocess.run(script({SHORT!r}))", id="many of a child's that end between two looks"),
        pytest.param(ORPHAN, id="one that outlives its parent"),
    ],
)
def test_all_that_a_command_starts_is_counted_once(body: str) -> None:
    # interpreters start and end, and an account has ticks of 10 ms
    assert 1.9 <= measured(body).seconds <= 3.2


def test_what_is_not_seen_is_said() -> None:
    long, short = measured("work(2).wait()"), measured(SHORT)

    assert sum(share.unseen for share in long.shares.values()) < 0.7
    assert sum(share.unseen for share in short.shares.values()) > 1


def test_it_ends_as_the_command_does() -> None:
    assert measured("sys.exit(3)").status == 3


@pytest.mark.parametrize(
    ("command", "parent", "expected"),
    [
        (["/venv/bin/python", "-m", "localstack_host", "--port", "4566"], "pytest worker", "LocalStack"),
        (["/venv/bin/python", "-P", "/x/bootstrap.py", "app.handler"], "LocalStack", "function"),
        (["git", "status"], "function", "function"),
        (["/venv/bin/python", "-u", "-c", "import sys;exec(eval(sys.stdin.readline()))"], "pytest", "pytest worker"),
        (["/venv/bin/python", "-m", "pytest", "tests"], "lab", "pytest"),
        (["/venv/bin/python", "-m", "lab", "test"], "", "lab"),
        (["/venv/bin/python", "/venv/bin/mypy", "lab"], "pytest worker", "linter mypy"),
        (["/venv/bin/ruff", "check"], "pytest worker", "linter ruff"),
        (["/venv/bin/python", "script.py"], "pytest worker", "other Python"),
        (["/usr/bin/make", "test"], "", "make"),
        ([], "pytest worker", "pytest worker"),
    ],
)
def test_kinds(command: list[str], parent: str, expected: str) -> None:
    assert cpu_time.kind(command, parent) == expected

"""``python -m localstack_host``: LocalStack in the foreground until SIGTERM or SIGINT."""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from localstack_host.environment import (
    DEFAULT_ASYNC_RETRY_SECONDS,
    DEFAULT_METRIC_SECONDS,
    NotInstalled,
    Options,
    environment,
    providers,
)


def seconds(text: str) -> int:
    """A whole number of seconds, from 1 to 300 (the most that LocalStack allows for the retry delay)."""
    value = int(text)
    if not 1 <= value <= 300:
        raise argparse.ArgumentTypeError(f"{value} is not between 1 and 300")
    return value


def program(text: str) -> str:
    """The absolute path of a program that is given by a path or by a name on PATH; what is not found stays as it is.

    LocalStack works in a folder of its own, in which a relative path means another file. The folder's links are
    resolved, since a function sees nothing of /tmp but what is really there (``private_folders``); the program's own
    are kept: the one of a virtual environment leads to an interpreter without the environment's packages.
    """
    found = shutil.which(text)
    return str(Path(found).parent.resolve() / Path(found).name) if found else text


def parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m localstack_host", description=__doc__)
    parser.add_argument("--port", type=int, default=4566, help="on 127.0.0.1 (default: 4566)")
    parser.add_argument("--dir", type=Path, required=True, help="everything that is written goes below it")
    parser.add_argument(
        "--function-python",
        type=program,
        default=sys.executable,
        metavar="PATH",
        help="the interpreter that runs Lambda functions; its environment needs awslambdaric (functions.lock)",
    )
    time = parser.add_argument_group("time", "without these, intervals are AWS's or LocalStack's own")
    time.add_argument(
        "--clock",
        choices=("real", "virtual"),
        default="real",
        help="virtual: the time of LocalStack and its functions jumps while all clients wait (README.md, The clock)",
    )
    time.add_argument(
        "--alarm-seconds",
        type=seconds,
        metavar="N",
        help="evaluate metric alarms every N seconds (default: once a minute)",
    )
    time.add_argument(
        "--metric-seconds",
        type=seconds,
        default=DEFAULT_METRIC_SECONDS,
        metavar="N",
        help="publish the metrics of queues every N seconds (default: %(default)s)",
    )
    time.add_argument(
        "--async-retry-seconds",
        type=seconds,
        default=DEFAULT_ASYNC_RETRY_SECONDS,
        metavar="N",
        help="retry an asynchronous invocation after N, then 2*N seconds (default: %(default)s)",
    )
    time.add_argument(
        "--delivery-retry-seconds",
        type=seconds,
        metavar="N",
        help="retry a failed delivery of EventBridge or Scheduler after at most N seconds (default: 1, 2, 4 ... 480)",
    )
    given = parser.parse_args(arguments)
    return Options(
        port=given.port,
        directory=given.dir.resolve(),
        function_python=given.function_python,
        virtual_clock=given.clock == "virtual",
        alarm_seconds=given.alarm_seconds,
        metric_seconds=given.metric_seconds,
        async_retry_seconds=given.async_retry_seconds,
        delivery_retry_seconds=given.delivery_retry_seconds,
    )


def problem(options: Options) -> str | None:
    """Why LocalStack could not start with these options, and what to do about it."""
    try:
        providers()
    except NotInstalled as error:
        return str(error)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", options.port))
        except (OSError, OverflowError) as error:
            return f"cannot listen on 127.0.0.1:{options.port} ({error}); choose another port with --port"
    needed = "awslambdaric, _time_machine" if options.virtual_clock else "awslambdaric"
    check = [options.function_python, "-c", f"import {needed}"]
    try:
        found = subprocess.run(check, check=False, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"--function-python {options.function_python} does not run ({error}); give a Python interpreter"
    if found.returncode != 0:
        return (
            f"--function-python {options.function_python} cannot import {needed}; "
            "install functions.lock into its environment"
        )
    return None


def private_folders(options: Options) -> str:
    """Which folders a function can have to itself (``private_folders.usable``); says so when not all of them."""
    folder = tempfile.mkdtemp(dir=options.directory / "tmp")
    command = [options.function_python, "-P", str(Path(__file__).with_name("lambda_") / "private_folders.py"), folder]
    found = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    shutil.rmtree(folder, ignore_errors=True)
    usable = found.stdout.strip()
    for name in {"/tmp", "/opt"} - set(usable.split(os.pathsep)):
        reason = f" ({found.stderr.strip().splitlines()[-1]})" if found.returncode else ""
        print(f"Functions share this machine's {name}{reason}: README.md, What differs from AWS.")
    return usable


def main(arguments: list[str] | None = None) -> NoReturn:
    options = parse(arguments)
    if reason := problem(options):
        sys.exit(f"localstack-host: {reason}")
    for name in ("cache", "filesystem", "tmp"):
        (options.directory / name).mkdir(parents=True, exist_ok=True)
    options.clock_page.unlink(missing_ok=True)
    os.chdir(options.directory)
    options = replace(options, private_folders=private_folders(options))
    # exec: the process that was started is LocalStack, so that its id, signals and exit status are LocalStack's.
    # -P: a file in the working folder must not shadow a module.
    command = [sys.executable, "-P", "-m", "localstack_host.server"]
    sys.stdout.flush()
    os.execve(sys.executable, command, environment(options, os.environ))


if __name__ == "__main__":
    main()

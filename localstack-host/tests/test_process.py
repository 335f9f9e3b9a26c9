"""What the operating system sees: addresses, processes, files, signals."""

import ipaddress
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import FUNCTION_PYTHON, PYTHON, Instance, free_port, is_running, reuse_index, running, unique, wait_until

WAIT = "from time import sleep\ndef handler(event, context): sleep({seconds})"


def start_functions(localstack: Instance, count: int) -> list[psutil.Process]:
    """``count`` live processes of one function, idle."""
    function = localstack.create_function(WAIT.format(seconds=1), Timeout=60)
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(localstack.invoke, [function] * count))
    return wait_until(localstack.functions)


def test_every_listening_socket_is_on_loopback(localstack: Instance) -> None:
    start_functions(localstack, 1)
    parent = psutil.Process(localstack.process.pid)

    listening = [
        connection.laddr
        for process in [parent, *parent.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    assert localstack.port in {address.port for address in listening}
    assert len(listening) >= 2, "the gateway and a Runtime API"
    assert all(ipaddress.ip_address(address.ip).is_loopback for address in listening)


def test_the_environment_of_the_caller_does_not_leak_in(localstack: Instance) -> None:
    environment = psutil.Process(localstack.process.pid).environ()

    assert not {"SERVICES", "LOCALSTACK_LEAKED"} & environment.keys()
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "FILESYSTEM_ROOT"):
        assert environment[name].startswith(str(localstack.folder.resolve()))


def test_objects_are_stored_below_the_folder(localstack: Instance) -> None:
    s3, bucket = localstack.client("s3"), unique("bucket")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(2**20))

    opened = [file.path for file in psutil.Process(localstack.process.pid).open_files()]

    written = [path for path in opened if "site-packages" not in path and not path.startswith("/dev")]
    assert written
    assert all(path.startswith(str(localstack.folder.resolve())) for path in written)


@pytest.mark.parametrize("service", ["iam", "resourcegroupstaggingapi", "sns", "ssm", "sts"])
def test_services_without_a_module_here_start(localstack: Instance, service: str) -> None:
    calls: dict[str, Callable[[Any], Any]] = {
        "iam": lambda client: client.list_roles()["Roles"],
        "resourcegroupstaggingapi": lambda client: client.get_resources()["ResourceTagMappingList"],
        "sns": lambda client: client.list_topics()["Topics"],
        "ssm": lambda client: client.describe_parameters()["Parameters"],
        "sts": lambda client: [client.get_caller_identity()["Account"]],
    }

    assert isinstance(calls[service](localstack.client(service)), list)


def test_sigterm_ends_one_of_two_instances_within_five_seconds(localstack: Instance, own_localstack: Instance) -> None:
    # given two instances with queues of the same name, and functions at work
    others = start_functions(localstack, 1)
    first, _ = localstack.create_queue("same-name")
    second, arn = own_localstack.create_queue("same-name", VisibilityTimeout="60")
    assert first.startswith(f"{localstack.endpoint}/")
    assert second.startswith(f"{own_localstack.endpoint}/")
    idle = start_functions(own_localstack, 6)
    busy = own_localstack.create_function(WAIT.format(seconds=50), Timeout=60)
    own_localstack.client("lambda").invoke(FunctionName=busy, InvocationType="Event")
    wait_until(lambda: len(own_localstack.functions()) == len(idle) + 1)
    own_localstack.client("lambda").create_event_source_mapping(EventSourceArn=arn, FunctionName=busy)

    # when one is told to end
    own_localstack.process.send_signal(signal.SIGTERM)

    # then it does, with its functions and nobody else's
    assert own_localstack.process.wait(5) == 0
    wait_until(lambda: not own_localstack.functions())
    assert all(function.is_running() for function in others)


def test_functions_of_a_killed_localstack_end_by_themselves(own_localstack: Instance) -> None:
    # given functions, one of them with a child
    source = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\ndef handler(*_): return child.pid"
    child, _ = own_localstack.invoke(own_localstack.create_function(source))
    start_functions(own_localstack, 2)

    # when LocalStack is killed
    own_localstack.process.kill()
    own_localstack.process.wait()

    # then none is left, and the folder serves again
    wait_until(lambda: not own_localstack.functions())
    wait_until(lambda: not is_running(child))
    with running(own_localstack.folder) as again:
        assert again.invoke(again.create_function("def handler(*_): return 1")) == (1, None)


def test_paths_are_relative_to_the_folder_that_localstack_is_started_in(localstack: Instance, tmp_path: Path) -> None:
    # given the environment of the functions, as README.md's "Use" makes it
    (tmp_path / "functions").symlink_to(Path(FUNCTION_PYTHON).parent.parent)
    reuse_index(localstack, tmp_path / "state")

    # when LocalStack is started with the line that stands there
    relative = ("--dir", "state", "--function-python", "functions/bin/python")
    with running(tmp_path / "state", *relative, cwd=tmp_path) as instance:
        # then it runs functions
        assert instance.invoke(instance.create_function("def handler(*_): return 1")) == (1, None)


def refusal(tmp_path: Path, *options: str) -> str:
    command = [PYTHON, "-m", "localstack_host", "--dir", str(tmp_path), *options]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert ended.returncode != 0
    return ended.stderr


def test_a_port_in_use_is_refused_with_what_to_do(localstack: Instance, tmp_path: Path) -> None:
    message = refusal(tmp_path, "--port", str(localstack.port), "--function-python", FUNCTION_PYTHON)

    assert f"cannot listen on 127.0.0.1:{localstack.port}" in message
    assert "choose another port with --port" in message


def test_an_interpreter_without_awslambdaric_is_refused_with_what_to_do(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)

    message = refusal(tmp_path, "--port", str(free_port()), "--function-python", str(bare / "bin" / "python"))

    assert "cannot import awslambdaric; install functions.lock" in message


def test_a_time_out_of_range_is_refused(tmp_path: Path) -> None:
    assert "0 is not between 1 and 300" in refusal(tmp_path, "--alarm-seconds", "0")

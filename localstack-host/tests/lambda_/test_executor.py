"""Lambda functions behave as in AWS's execution environment."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from harness import FUNCTION_PYTHON, PYTHON, ROLE, Gate, Instance, archive, is_running, unique, wait_until

COUNTER = """
count = 0
def handler(event, context):
    global count
    count += 1
    if event == "fail":
        raise ValueError("boom")
    return count
"""


def layer(localstack: Instance, files: dict[str, str]) -> str:
    client = localstack.client("lambda")
    content = {"ZipFile": archive(files)}
    found: str = client.publish_layer_version(LayerName=unique("layer"), Content=content)["LayerVersionArn"]
    return found


def test_an_environment_is_used_again_also_after_an_exception(localstack: Instance) -> None:
    function = localstack.create_function(COUNTER)

    results = [localstack.invoke(function, event)[0] for event in ("ok", "fail", "ok")]

    assert (results[0], results[2]) == (1, 3)


def test_concurrent_invocations_have_a_process_each(localstack: Instance, gate: Gate) -> None:
    source = f"import os\ndef handler(event, context):\n    {gate.wait}\n    return os.getpid()"
    function = localstack.create_function(source, Timeout=60)

    def four_at_once() -> set[int]:
        with ThreadPoolExecutor(4) as pool:
            running = [pool.submit(localstack.invoke, function) for _ in range(4)]
            with gate.held(4):
                pass
            return {one.result()[0] for one in running}

    first = four_at_once()

    assert len(first) == 4
    assert four_at_once() == first


def test_timeout_is_reported_and_resets_the_modules_but_not_the_files(localstack: Instance) -> None:
    source = """
import os, subprocess, tempfile
from time import sleep
from pathlib import Path
count = 0
def handler(event, context):
    global count
    count += 1
    kept = Path(tempfile.gettempdir()) / "kept"
    if event == "sleep":
        kept.write_text(str(subprocess.Popen(["sleep", "60"]).pid))
        sleep(60)
    return count, kept.read_text()
"""
    function = localstack.create_function(source, Timeout=3)

    payload, error = localstack.invoke(function, "sleep")
    (count, child), _ = localstack.invoke(function, "look")

    request_id = payload["errorMessage"].split()[1]
    assert error == "Unhandled"
    assert payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 3.00 seconds",
    }
    assert count == 1
    wait_until(lambda: not is_running(int(child)))
    logged = wait_until(lambda: localstack.messages(function, '"Status: timeout"'))
    assert request_id in logged[0]
    assert any("Task timed out after 3.00 seconds" in line for line in localstack.messages(function, request_id))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("sys.exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
    ],
)
def test_crash(localstack: Instance, statement: str, message: str) -> None:
    source = f"import os, sys\ndef handler(event, context):\n    if event:\n        {statement}\n    return 'alive'"
    function = localstack.create_function(source)

    payload, error = localstack.invoke(function, "crash")

    assert error == "Unhandled"
    assert payload["errorType"] == "Runtime.ExitError"
    assert payload["errorMessage"].endswith(f" Error: {message}")
    assert localstack.invoke(function) == ("alive", None)


def test_import_error(localstack: Instance) -> None:
    function = localstack.create_function("import nowhere\ndef handler(event, context): ...")

    for _ in range(2):
        payload, error = localstack.invoke(function)

        assert error == "Unhandled"
        assert payload["errorType"] == "Runtime.ImportModuleError"
        assert payload["errorMessage"] == "Unable to import module 'app': No module named 'nowhere'"


def test_exit_while_importing(localstack: Instance) -> None:
    payload, error = localstack.invoke(localstack.create_function("raise SystemExit(4)"))

    assert (error, payload["errorType"]) == ("Unhandled", "Runtime.ExitError")


def test_exception_with_type_message_and_stack_trace(localstack: Instance) -> None:
    source = 'class Odd(Exception): ...\ndef handler(event, context):\n    raise Odd("Handler fails")\n'
    function = localstack.create_function(source)

    payload, error = localstack.invoke(function)

    assert error == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("Odd", "Handler fails")
    assert payload["requestId"]
    (frame,) = payload["stackTrace"]
    assert 'app.py", line 3, in handler\n    raise Odd("Handler fails")' in frame


def test_later_layers_cover_earlier_ones_and_the_function_covers_both(localstack: Instance) -> None:
    first = layer(localstack, {"python/shared/one.py": "v = 1", "python/shared/two.py": "v = 1", "python/m.py": ""})
    last = layer(localstack, {"python/shared/two.py": "v = 2", "python/m.py": "", "data/file": "text"})
    source = "import m\nfrom shared import one, two\ndef handler(event, context): return one.v, two.v, m.v"
    function = localstack.create_function({"app.py": source, "m.py": "v = 3"}, Layers=[first, last])

    assert localstack.invoke(function) == ([1, 2, 3], None)


def test_site_packages_of_a_layer(localstack: Instance) -> None:
    arn = layer(localstack, {"python/lib/python3.13/site-packages/inner.py": "v = 'inner'"})
    source = "import inner\ndef handler(event, context): return inner.v"

    assert localstack.invoke(localstack.create_function(source, Layers=[arn])) == ("inner", None)


def test_a_layer_is_compiled_once_and_one_of_its_modules_may_be_broken(localstack: Instance) -> None:
    """A function may not write to /opt (https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html), so that
    each environment would compile what it imports from there.
    """
    arn = layer(localstack, {"python/whole.py": "", "python/broken.py": "def"})
    source = """
import os, whole
def handler(event, context):
    try:
        import broken
    except SyntaxError as error:
        return os.path.exists(whole.__cached__), os.path.basename(error.filename)
"""
    function = localstack.create_function(source, Layers=[arn])

    assert localstack.invoke(function) == ([True, "broken.py"], None)


def test_handler_in_a_layer(localstack: Instance) -> None:
    wrapper = """
import importlib, os
module, _, name = os.environ["WRAPPED"].rpartition(".")
wrapped = getattr(importlib.import_module(module), name)
def handler(event, context):
    return [os.environ["_HANDLER"], wrapped(event, context)]
"""
    function = localstack.create_function(
        "def handler(event, context): return 'inside'",
        Handler="wrapper.handler",
        Layers=[layer(localstack, {"python/wrapper.py": wrapper})],
        Variables={"WRAPPED": "app.handler"},
    )

    assert localstack.invoke(function) == (["wrapper.handler", "inside"], None)


def test_environment_of_a_function(localstack: Instance) -> None:
    source = """
import os, sys, tempfile
def handler(event, context):
    return {"env": dict(os.environ), "path": sys.path, "home": os.path.expanduser("~"), "cwd": os.getcwd(),
            "tmp": tempfile.gettempdir(), "here": os.path.dirname(os.path.abspath(__file__))}
"""
    function = localstack.create_function(source, Variables={"LOCALSTACK_MINE": "kept", "GREETING": "hello"})

    seen, _ = localstack.invoke(function)

    env = seen["env"]
    assert (env["GREETING"], env["AWS_ENDPOINT_URL"]) == ("hello", localstack.endpoint)
    assert (env["AWS_LAMBDA_FUNCTION_NAME"], env["AWS_REGION"]) == (function, "us-east-1")
    assert env["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert [name for name in env if name.startswith("LOCALSTACK_")] == ["LOCALSTACK_MINE"]
    assert seen["here"] == seen["cwd"] == env["LAMBDA_TASK_ROOT"]
    assert seen["home"].startswith(str(localstack.folder.resolve()))
    assert seen["tmp"] == "/tmp" or seen["tmp"].startswith(str(localstack.folder.resolve()))
    assert not [entry for entry in seen["path"] if "localstack_host" in entry]


def test_functions_cannot_import_localstack_when_they_have_an_environment_of_their_own(
    localstack: Instance,
) -> None:
    source = "import localstack_host, localstack\ndef handler(event, context): ..."
    payload, _ = localstack.invoke(localstack.create_function(source))

    found = payload is not None and payload["errorType"] == "Runtime.ImportModuleError"
    assert found == (FUNCTION_PYTHON != PYTHON)


def test_boto3_in_a_function_reaches_localstack(localstack: Instance) -> None:
    url, _ = localstack.create_queue()
    source = "import boto3\ndef handler(event, context): return boto3.client('sqs').list_queues()['QueueUrls']"

    queues, _ = localstack.invoke(localstack.create_function(source))

    assert url in queues


def test_context(localstack: Instance) -> None:
    source = """
def handler(event, context):
    return {"id": context.aws_request_id, "left": context.get_remaining_time_in_millis(),
            "memory": context.memory_limit_in_mb, "name": context.function_name, "version": context.function_version,
            "arn": context.invoked_function_arn, "group": context.log_group_name}
"""
    function = localstack.create_function(source, Timeout=60, MemorySize=256)

    response = localstack.client("lambda").invoke(FunctionName=function)
    context = json.loads(response["Payload"].read())

    assert context["id"] == response["ResponseMetadata"]["RequestId"]
    assert 50_000 < context["left"] <= 60_000
    assert context["memory"] == "256"
    assert (context["name"], context["version"]) == (function, "$LATEST")
    assert context["arn"].endswith(f":function:{function}")
    assert context["group"] == f"/aws/lambda/{function}"


def test_reserved_concurrency_throttles(localstack: Instance, gate: Gate) -> None:
    client = localstack.client("lambda")
    source = f"def handler(event, context):\n    {gate.wait}\n    return 'ran'"
    function = localstack.create_function(source, Timeout=60)
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=1)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(localstack.invoke, function)
        with gate.held(1), pytest.raises(client.exceptions.TooManyRequestsException) as refused:
            localstack.invoke(function)

    assert refused.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert running.result() == ("ran", None)


def test_versions_and_updated_code(localstack: Instance) -> None:
    client = localstack.client("lambda")
    function = localstack.create_function("def handler(event, context): return 'one'")
    version = client.publish_version(FunctionName=function)["Version"]
    client.create_alias(FunctionName=function, Name="live", FunctionVersion=version)
    localstack.invoke(function)

    client.update_function_code(
        FunctionName=function, ZipFile=archive({"app.py": "def handler(event, context): return 'two'"})
    )
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})

    assert localstack.invoke(function)[0] == "two"
    assert localstack.invoke(f"{function}:live")[0] == "one"


def test_payload_of_five_megabytes(localstack: Instance) -> None:
    function = localstack.create_function("def handler(event, context): return event")
    event = {"text": "y" * 5_000_000}

    assert localstack.invoke(function, event) == (event, None)


def test_lines_of_an_invocation_in_the_log(localstack: Instance) -> None:
    source = "import json\ndef handler(event, context):\n    print('plain')\n    print(json.dumps({'level': 'INFO'}))"
    function = localstack.create_function(source)

    response = localstack.client("lambda").invoke(FunctionName=function, LogType="Tail")
    lines = wait_until(lambda: localstack.messages(function))

    request_id = response["ResponseMetadata"]["RequestId"]
    assert lines[:4] == [
        f"START RequestId: {request_id} Version: $LATEST",
        "plain",
        '{"level": "INFO"}',
        f"END RequestId: {request_id}",
    ]
    assert lines[4].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert "\tMemory Size: 128 MB\tMax Memory Used: " in lines[4]
    assert "\tInit Duration: " in lines[4]
    assert base64.b64decode(response["LogResult"]).decode().splitlines() == lines
    localstack.invoke(function)
    reports = wait_until(lambda: two(localstack.messages(function, "REPORT")))
    assert "Init Duration" not in reports[1]


def two(found: list[str]) -> list[str]:
    return found if len(found) == 2 else []


def test_crash_in_the_log(localstack: Instance) -> None:
    function = localstack.create_function("import os\ndef handler(event, context):\n    print('last')\n    os._exit(1)")

    localstack.invoke(function)
    lines = wait_until(lambda: localstack.messages(function))

    assert lines[1] == "last"
    assert lines[2].endswith(" Error: Runtime exited with error: exit status 1")
    assert lines[3] == "Runtime.ExitError"
    assert "\tStatus: error\tError Type: Runtime.ExitError" in lines[5]


def test_json_log_format(localstack: Instance) -> None:
    source = """
import logging
def handler(event, context):
    logging.getLogger().warning("careful")
    if event:
        raise ValueError("boom")
"""
    function = localstack.create_function(source, LoggingConfig={"LogFormat": "JSON"})

    localstack.invoke(function)
    events = [json.loads(line) for line in wait_until(lambda: localstack.messages(function))]

    assert [event.get("type") for event in events] == ["platform.start", None, "platform.report"]
    assert (events[1]["level"], events[1]["message"]) == ("WARNING", "careful")
    assert events[0]["record"]["version"] == "$LATEST"
    report = events[2]["record"]
    assert report["requestId"] == events[0]["record"]["requestId"] == events[1]["requestId"]
    assert report["status"] == "success"
    assert report["metrics"]["memorySizeMB"] == 128


def test_asynchronous_invocation_is_retried_twice_then_goes_to_the_destination(localstack: Instance) -> None:
    url, arn = localstack.create_queue()
    function = localstack.create_function(
        "def handler(event, context):\n    print('attempt', context.aws_request_id)\n    raise ValueError('boom')"
    )
    client = localstack.client("lambda")
    client.put_function_event_invoke_config(
        FunctionName=function, DestinationConfig={"OnFailure": {"Destination": arn}}
    )

    client.invoke(FunctionName=function, InvocationType="Event", Payload=b'{"k": 1}')

    sqs = localstack.client("sqs")
    (message,) = wait_until(lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"), 30)
    record = json.loads(message["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert len(set(localstack.messages(function, "attempt"))) == 1


def test_without_the_native_runtime_client(localstack: Instance) -> None:
    """As on macOS: a module of that name in the function's zip stands for one that cannot be imported."""
    source = "def handler(event, context):\n    if event == 'fail':\n        raise ValueError('boom')\n    return event"
    function = localstack.create_function({"app.py": source, "runtime_client.py": "raise ImportError"})

    assert localstack.invoke(function, {"k": "é"}) == ({"k": "é"}, None)
    assert localstack.invoke(function, "fail")[0]["errorType"] == "ValueError"
    assert localstack.invoke(function, [1]) == ([1], None)


@pytest.mark.parametrize(
    "settings", [{"Runtime": "nodejs22.x"}, {"PackageType": "Image", "Runtime": None, "Handler": None}]
)
def test_other_runtimes_are_refused_with_a_reason(localstack: Instance, settings: dict[str, Any]) -> None:
    client, name = localstack.client("lambda"), unique("function")
    zipped = {"ZipFile": archive({"app.py": ""})}
    code = {"ImageUri": "image"} if "PackageType" in settings else zipped
    given = {"FunctionName": name, "Role": ROLE, "Handler": "app.handler"} | settings

    client.create_function(Code=code, **{key: value for key, value in given.items() if value})

    state = client.get_function_configuration(FunctionName=name)
    assert state["State"] == "Failed"
    assert "localstack-host runs Python zips only" in state["StateReason"]

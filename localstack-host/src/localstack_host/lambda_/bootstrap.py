"""The first thing that runs in a function's process: hands over to awslambdaric, and ends with LocalStack.

Runs in the function's own interpreter and environment, so it imports nothing but the standard library,
``private_folders``, ``clock.page`` and awslambdaric. Arguments: the handler, the folders for ``private_folders`` as a
JSON object, the name of the process's place on the clock's page (empty with the machine's clock), then the function's
name and the environment's folder.

Standard input is a pipe whose other end only LocalStack holds. When it closes, LocalStack has gone, however it went:
the process group, and with it whatever the function started, is killed.
"""

import importlib.util
import json
import os
import signal
import sys
import threading
import types


def end_with(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGKILL)


def load(path: str) -> types.ModuleType:
    """A module of this package, by its path: the folder that it is in must not be on the function's path."""
    name = os.path.splitext(os.path.basename(path))[0]
    specification = importlib.util.spec_from_file_location(name, path)
    if specification is None or specification.loader is None:
        raise ImportError(f"cannot load {path}")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def redirect(folders: dict[str, str], environment_folder: str) -> None:
    own_folder = os.path.dirname(os.path.abspath(__file__))
    private = load(os.path.join(own_folder, "private_folders.py"))
    code = os.environ["LAMBDA_TASK_ROOT"]
    private.redirect(folders, [*private.interpreter(), own_folder, code, environment_folder])
    # The interpreter looked for the layers' packages when it started, and found nothing.
    # (importlib.invalidate_caches forgets that too, and takes 20 ms.)
    for missing in [entry for entry, finder in sys.path_importer_cache.items() if finder is None]:
        del sys.path_importer_cache[missing]


def portable_runtime_client() -> types.ModuleType:
    """What awslambdaric expects of its module ``runtime_client``, which is built from C++ and on Linux only.

    The requests are those of the Runtime API: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
    """
    import http.client

    def request(
        method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> "tuple[bytes, http.client.HTTPMessage]":
        connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        connection.request(method, f"/2018-06-01/runtime/invocation/{path}", body, headers or {})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return content, response.headers

    def post_error(invoke_id: str, error: str, xray_fault: str, invocation_id: str | None = None) -> None:
        request("POST", f"{invoke_id}/error", error.encode(), {"Content-Type": "application/json"})

    def post_invocation_result(
        invoke_id: str, result: bytes, content_type: str, invocation_id: str | None = None
    ) -> None:
        request("POST", f"{invoke_id}/response", result, {"Content-Type": content_type})

    module = types.ModuleType("runtime_client")
    vars(module).update(
        initialize_client=lambda user_agent: None,
        next=lambda: request("GET", "next"),
        post_invocation_result=post_invocation_result,
        post_error=post_error,
    )
    return module


def main() -> None:
    handler, folders, place, _, environment_folder = sys.argv[1:]
    if place:
        # before the folder that the page is in may be hidden
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clock", "page.py")
        clock = load(page).FunctionClock(place)
    if folders != "{}":
        redirect(json.loads(folders), environment_folder)
    watcher = threading.Thread(target=end_with, args=(os.dup(0),), daemon=True)
    watcher.start()
    if place:
        clock.install(watcher.ident)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        import runtime_client  # type: ignore[import-not-found]  # noqa: F401
    except ImportError:
        sys.modules["runtime_client"] = portable_runtime_client()
    from awslambdaric.__main__ import main as serve

    serve(["awslambdaric", handler])


if __name__ == "__main__":
    main()

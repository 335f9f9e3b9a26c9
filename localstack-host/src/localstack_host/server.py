"""Runs LocalStack in an environment built by ``environment``; ``__main__`` replaces itself by this module.

AWS: does not apply; this is about the process on this machine.

LocalStack: the first request to a new folder builds an index of all AWS services, which takes 3 s and leaves the
process with 480 MB that it does not need again. After an orderly shutdown the interpreter still waits for
LocalStack's idle worker threads, for seconds.

Here: the index is built first, and the process starts afresh with it. Services are stopped in LocalStack's own order;
then the process ends at once, and after GRACE_SECONDS in any case.
"""

import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

from localstack_host.clock import keeper
from localstack_host.environment import CLOCK_PAGE
from localstack_host.patching import uses

GRACE_SECONDS = 3.5


def build_index() -> bool:
    """Whether the index of AWS services was missing; it is there afterwards, once per folder and version."""
    from localstack import config
    from localstack.aws import spec

    uses(spec, "_get_catalog_filename", "build_service_index_cache")
    config.dirs.mkdirs()
    index = Path(config.dirs.cache) / spec._get_catalog_filename()
    if index.exists():
        return False
    print("Building the index of AWS services, once per folder ...", flush=True)
    building = index.with_suffix(f".{os.getpid()}")
    spec.build_service_index_cache(str(building))
    building.replace(index)
    return True


def end_within_grace() -> None:
    """Called when the shutdown begins: a service that does not stop must not keep the process alive."""
    keeper.stop()
    deadline = threading.Timer(GRACE_SECONDS, os._exit, [0])
    deadline.daemon = True
    deadline.start()


def main() -> NoReturn:
    if page := os.environ.get(CLOCK_PAGE):
        keeper.start(Path(page))
    if build_index():
        os.execv(sys.executable, [sys.executable, "-P", "-m", "localstack_host.server"])
    from localstack.runtime.main import main as run

    status: int | str | None = 0
    try:
        run()
    except SystemExit as ending:
        status = ending.code
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    main()

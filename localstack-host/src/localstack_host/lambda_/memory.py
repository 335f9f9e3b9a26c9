"""A function that needs more memory than it has is killed.

AWS: the memory of an execution environment is the function's MemorySize
(https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). Who needs more is killed: the invocation ends
with Runtime.ExitError (https://repost.aws/knowledge-center/lambda-runtime-error), "signal: killed", the runtime starts
anew for the next one, and the report's error type is Runtime.OutOfMemory.

LocalStack: leaves it to Docker, which is not used here.

Here: while a process is in its initialization or an invocation, a thread looks every LOOK_SECONDS at its memory and
that of its children; and at the end of an invocation the most that the process had counts, so that what came and went
between two looks is seen too. Pages that a child shares with its parent are counted once. Not as on AWS: between two
looks a function can have more than its memory; elsewhere than on Linux, only the process itself counts, and what it has
when somebody looks.

Evidence: documentation; "signal: killed" and the report's error type as quoted in public bug reports; belief for the
error type in the JSON format.
"""

import contextlib
import functools
import os
import selectors
import sys
import threading
from collections.abc import Callable, Iterator

import psutil

# The machine's time: with the virtual clock, who only looks would make it jump in small steps.
LOOK_SECONDS = 0.1
# So many looks without anything to watch, and the thread waits until there is something.
LOOKS_BEFORE_REST = 20

PAGE = os.sysconf("SC_PAGE_SIZE")
HAS_PROC = sys.platform == "linux"


class Memory:
    """The memory of a process and its children, in bytes. ``kill`` is called once, when it exceeds ``limit``."""

    def __init__(self, pid: int, limit: int, kill: Callable[[], None]) -> None:
        self.pid, self.limit, self.kill = pid, limit, kill
        self.most = 0
        self.exceeded = False

    def look(self) -> None:
        self.count(used(self.pid))

    def look_back(self) -> None:
        """Counts the most that the process has had at a time; without its children, which ``look`` counts."""
        self.count(peak(self.pid))

    def count(self, found: int) -> None:
        self.most = max(self.most, found)
        if found > self.limit and not self.exceeded:
            self.exceeded = True
            self.kill()


def used(pid: int) -> int:
    """What a process and the children of its main thread have; 0 if it is gone."""
    if not HAS_PROC:
        return peak(pid)
    family = [pid]
    for one in family:
        family += map(int, read(f"/proc/{one}/task/{one}/children").split())
    if len(family) == 1:
        return resident_set(pid)
    # with the part of shared pages that falls to each; takes a millisecond for each
    return sum(field(read(f"/proc/{one}/smaps_rollup"), b"Pss:") for one in family)


def resident_set(pid: int) -> int:
    pages = read(f"/proc/{pid}/statm").split()
    return int(pages[1]) * PAGE if pages else 0


def peak(pid: int) -> int:
    """The most that a process had at a time, or what it has, where the system says no more; 0 if it is gone."""
    if HAS_PROC:
        return field(read(f"/proc/{pid}/status"), b"VmHWM:")
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return 0


def field(text: bytes, name: bytes) -> int:
    """A field of a file in /proc that counts kilobytes; 0 if there is none, as of a process that has ended."""
    _, _, rest = text.partition(name)
    return int(rest.split(maxsplit=1)[0]) * 1024 if rest else 0


def read(path: str) -> bytes:
    """A file in /proc; nothing if the process is gone, or the kernel has no such file."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 8192)
    except OSError:  # gone in between
        return b""
    finally:
        os.close(file)


class Watch:
    """The thread that looks."""

    def __init__(self) -> None:
        self.watched: set[Memory] = set()
        self.resting = True
        self.reading, self.writing = os.pipe()
        threading.Thread(target=self.run, daemon=True, name="function-memory").start()

    @contextlib.contextmanager
    def over(self, memory: Memory) -> Iterator[None]:
        """Watches in the block."""
        self.watched.add(memory)
        if self.resting:
            os.write(self.writing, b"-")
        try:
            yield
        finally:
            self.watched.discard(memory)

    def run(self) -> None:
        # A wait for what comes from outside, to the virtual clock (clock.keeper, FOREIGN).
        selector = selectors.DefaultSelector()
        selector.register(self.reading, selectors.EVENT_READ)
        idle = LOOKS_BEFORE_REST
        while True:
            self.resting = idle >= LOOKS_BEFORE_REST
            if selector.select(None if self.resting and not self.watched else LOOK_SECONDS):
                os.read(self.reading, 4096)
            watched = self.watched.copy()
            idle = 0 if watched else idle + 1
            for memory in watched:
                memory.look()


@functools.cache
def watch() -> Watch:
    """The one of this LocalStack."""
    return Watch()

"""The page that LocalStack, the processes of its functions and its clients read the virtual time from.

AWS: does not apply; this is about the processes on this machine.

LocalStack: takes the time from the machine.

Here: a file that all of them map. It has the time, which only LocalStack writes (``keeper``), and a place for each
process that the time depends on: a function or a client. Its process says in it whether it is at work or until when it
waits; whatever waits does so by looking at the page, since nothing else is shared. Of a function, LocalStack says
whether it serves an invocation: between two, nothing that it does counts.

Evidence: does not apply.
"""

# Runs in the function's interpreter too, by its path, and in the clients': nothing but the standard library may be
# imported at the top, and only what is there anyway.
import fcntl
import importlib
import mmap
import os
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

# The machine's own clocks, whatever is put in their places later.
machine_ns = time.time_ns
machine_monotonic_ns = time.monotonic_ns
machine_sleep = time.sleep

SIZE = 65536
# Words of 64 bits: first those of the page, then those of each place.
NOW, JUMPS, SKIPPED, KEEPER, USED, PLACES = 0, 1, 2, 3, 4, 8
KIND, OWNER, UNTIL, SERVES, WORDS = 0, 1, 2, 3, 4
MOST_PLACES = (SIZE // 8 - PLACES) // WORDS

FREE, FUNCTION, CLIENT, CLIENT_ON_REAL_TIME = range(4)
AT_WORK = 0  # in the word UNTIL; any other value is the time at which the process goes on

LOOK_SECONDS = 0.002


class Full(Exception):
    """More processes than there are places for."""


class Page:
    """The mapped file. Times are in nanoseconds since 1970."""

    def __init__(self, path: Path | str) -> None:
        """Raises OSError when there is no such file."""
        self.path = str(path)
        with open(path, "r+b") as file:
            self.words = memoryview(mmap.mmap(file.fileno(), SIZE)).cast("q")

    @classmethod
    def create(cls, path: Path) -> "Page":
        """A new one, at the time of the machine; an older one's readers keep what they have."""
        building = path.with_suffix(".new")
        building.write_bytes(bytes(SIZE))
        building.replace(path)
        page = cls(path)
        page.words[NOW], page.words[KEEPER] = machine_ns(), os.getpid()
        return page

    def now_ns(self) -> int:
        return self.words[NOW]

    def now(self) -> float:
        return self.words[NOW] / 1e9

    def place(self, kind: int, owner: int) -> "Place":
        """A free place, taken for the process ``owner`` (its id; 0 when it has none yet). Raises Full."""
        with open(self.path) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for number in range(MOST_PLACES):
                place = Place(self, number)
                if place.kind == FREE:
                    self.words[USED] = max(self.words[USED], number + 1)
                    place.until, place.owner, place.serves = AT_WORK, owner, True
                    place.kind = kind
                    return place
        raise Full(f"{self.path}: {MOST_PLACES} functions and clients at once are the most")

    def places(self) -> "list[Place]":
        """Those that are taken."""
        return [place for number in range(self.words[USED]) if (place := Place(self, number)).kind != FREE]


class Place:
    """What one process says about itself."""

    def __init__(self, page: Page, number: int) -> None:
        self.page, self.number = page, number
        self._at = PLACES + number * WORDS

    @property
    def kind(self) -> int:
        return self.page.words[self._at + KIND]

    @kind.setter
    def kind(self, kind: int) -> None:
        self.page.words[self._at + KIND] = kind

    @property
    def owner(self) -> int:
        return self.page.words[self._at + OWNER]

    @owner.setter
    def owner(self, pid: int) -> None:
        self.page.words[self._at + OWNER] = pid

    @property
    def until(self) -> int:
        return self.page.words[self._at + UNTIL]

    @until.setter
    def until(self, moment: int) -> None:
        self.page.words[self._at + UNTIL] = moment

    @property
    def serves(self) -> bool:
        """Whether the process counts: a client always does, a function from an invocation's start to its end."""
        return bool(self.page.words[self._at + SERVES])

    @serves.setter
    def serves(self, serves: bool) -> None:
        self.page.words[self._at + SERVES] = serves

    def wait(self, until: int, longest: float) -> bool:
        """Waits until the page's time is ``until``: true; or for ``longest`` seconds of the machine's: false.

        For a process of one thread; ``FunctionClock`` is for others.
        """
        end = machine_monotonic_ns() + int(longest * 1e9)
        try:
            while self.page.now_ns() < until:
                if machine_monotonic_ns() > end:
                    return False
                self.until = until
                machine_sleep(LOOK_SECONDS)
            return True
        finally:
            self.until = AT_WORK

    @property
    def name(self) -> str:
        """What ``FunctionClock`` finds it by."""
        return f"{self.number}:{self.page.path}"

    def release(self) -> None:
        self.kind = FREE


def travel(now_ns: Callable[[], int]) -> None:
    """Puts a clock in the place of the machine's in this process: for time.time, datetime.now and their relatives.

    That needs C, which time-machine has. Only its C part is used: the rest takes 40 ms to import, of each cold start.
    """
    stand_in = types.ModuleType("time_machine")
    vars(stand_in)["traveller_stack"] = [types.SimpleNamespace(time_ns=now_ns)]
    sys.modules["time_machine"] = stand_in  # where the C part looks for the time
    core = importlib.import_module("_time_machine")
    vars(stand_in)["_time_machine"] = core
    core.patch()


def waits(frame: types.FrameType) -> bool:
    """Whether a thread of a function, by its frame, does nothing but wait for another thread."""
    code = frame.f_code
    place = os.path.basename(code.co_filename), code.co_name
    return place in {("threading.py", "wait"), ("threading.py", "join"), ("thread.py", "_worker")}


class FunctionClock:
    """The page's time in a function's process, in which time.sleep waits for the page."""

    def __init__(self, place: str) -> None:
        """``place``: its name."""
        number, page = place.split(":", 1)
        self.place = Place(Page(page), int(number))
        self.sleeping: dict[int, int] = {}  # until when, by thread
        self.changing = threading.Lock()

    def install(self, watcher: int) -> None:
        """``watcher``: the id of the thread that ends the process with LocalStack, which never works."""
        self.watcher, page = watcher, self.place.page
        travel(page.now_ns)
        vars(time)["sleep"] = self.sleep
        time.monotonic = time.perf_counter = page.now
        time.monotonic_ns = time.perf_counter_ns = page.now_ns

    def sleep(self, seconds: float) -> None:
        """time.sleep, in the page's time."""
        if not seconds > 0:
            return machine_sleep(seconds)
        me, until = threading.get_ident(), self.place.page.now_ns() + int(seconds * 1e9)
        self.sleeping[me] = until
        try:
            while self.place.page.now_ns() < until:
                with self.changing:
                    self.place.until = min(self.sleeping.values()) if self.others_wait() else AT_WORK
                machine_sleep(LOOK_SECONDS)
        finally:
            with self.changing:
                del self.sleeping[me]
                self.place.until = AT_WORK

    def others_wait(self) -> bool:
        frames = sys._current_frames()
        return all(thread in self.sleeping or thread == self.watcher or waits(frames[thread]) for thread in frames)

"""LocalStack's own clock, which jumps while everybody waits and slows down while the machine does (--clock virtual).

AWS: does not apply; this is about the process on this machine.

LocalStack: takes the time from the machine. Who waits for a timer waits as long as on AWS, and a function that gets
little processor time races the timers.

Here: a thread moves the time, and ends the waits of LocalStack's threads when they are due. While no client is there,
or one that wants real time, the time moves as the machine's. While clients are there:

- What is at work uses processor time: the time moves by what one of those at work got of it on average. So it makes no
  difference how much the machine does beside, nor how many functions share it.
- All that is at work only blocks on something that this clock knows nothing of, such as a socket: as the machine's.
- Nothing is at work, and each client waits: the time jumps to the moment that the first of them, a function that
  sleeps, or a thread of LocalStack waits for.

At work are: a function from the start of its invocation to the end, but while all of its threads sleep or wait for one
that does; a client, but while it waits; a thread of LocalStack that is neither in a wait of ``threading``, ``queue`` or
``time``, which are replaced before anything else is imported, nor in one of FOREIGN. Who is notified is at work before
it has run a line. Not as on AWS: what takes a function 1 s of processor time takes 1 s, whatever its memory.

Evidence: does not apply.
"""

import _thread
import contextlib
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from localstack_host.clock.page import (
    CLIENT,
    CLIENT_ON_REAL_TIME,
    FUNCTION,
    JUMPS,
    LOOK_SECONDS,
    NOW,
    SKIPPED,
    Page,
    Place,
    machine_monotonic_ns,
    machine_sleep,
    travel,
)
from localstack_host.patching import uses

uses(threading.Condition, "_is_owned", "_release_save", "_acquire_restore", "_waiters")
uses(threading, "_limbo", "_active")
uses(queue, "_PySimpleQueue")

LOG = logging.getLogger(__name__)

TICK_SECONDS = 0.002
TICK_SECONDS_ALONE = 0.01  # without clients
# What is at work advances the time by at least this part of what passes on the machine: nothing has no duration.
FLOOR = 0.02
# More than this between two ticks is the machine's doing, which has not let this process run.
LONGEST_TICK_NS = 50_000_000
LOOK_NS = 1000
OWNERS_LOOKED_AFTER_SECONDS = 0.5

# Where a thread of LocalStack waits for something from outside, by file and function: a request, the end of a process.
# Whoever it comes from is at work himself, or outside of all that this clock knows.
FOREIGN = {
    ("selectors.py", "select"),
    ("epollreactor.py", "doPoll"),
    ("kqreactor.py", "doKEvent"),
    ("pollreactor.py", "doPoll"),
    ("selectreactor.py", "doSelect"),
    ("socket.py", "accept"),
    ("subprocess.py", "_try_wait"),
    ("subprocess.py", "_wait"),
}

page: Page | None = None
machine_join = threading.Thread.join
# Of all that is below. Reentrant, because a signal handler may notify.
lock = threading.RLock()
waiting: dict["Waiter", bool] = {}
changes = 0  # of what is at work
moved_by_looks = 0  # nanoseconds since the last tick


class Waiter:
    """A thread that waits; in a condition's list it stands for the lock that ``notify`` releases."""

    def __init__(self, deadline: int | None, counts: bool = True) -> None:
        """``counts``: whether its thread is known to wait by this; one in FOREIGN is known by its frame."""
        self.lock = _thread.allocate_lock()
        self.lock.acquire()
        self.deadline, self.thread = deadline, _thread.get_ident() if counts else None
        self.released = self.timed_out = False

    def enter(self) -> None:
        global changes
        with lock:
            waiting[self] = True
            changes += 1

    def release(self) -> None:
        """Called by notify(). Raises RuntimeError when it is too late: the time was over before."""
        self.end(timed_out=False)

    def end(self, timed_out: bool) -> None:
        global changes
        with lock:
            if self.released:
                raise RuntimeError("released already")
            self.released, self.timed_out = True, timed_out
            waiting.pop(self, None)
            changes += 1
            self.lock.release()

    def leave(self) -> None:
        """However the wait ended: also by an exception."""
        global changes
        with lock:
            waiting.pop(self, None)
            changes += 1


def deadline_after(seconds: float) -> int:
    return now_ns() + int(min(seconds, threading.TIMEOUT_MAX) * 1e9)


def condition_wait(self: Any, timeout: float | None = None) -> bool:
    """threading.Condition.wait, in this clock's time."""
    if not self._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    if timeout is not None and timeout <= 0:
        # as the original does: others get the lock in between, and nobody can have notified a waiter that is gone
        saved = self._release_save()
        self._acquire_restore(saved)
        return False
    waiter = Waiter(None if timeout is None else deadline_after(timeout))
    self._waiters.append(waiter)
    waiter.enter()
    saved = self._release_save()
    try:
        waiter.lock.acquire()
        return not waiter.timed_out
    finally:
        waiter.leave()
        self._acquire_restore(saved)
        if waiter.timed_out or not waiter.released:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)


def sleep(seconds: float) -> None:
    """time.sleep, in this clock's time."""
    if not seconds > 0:
        machine_sleep(seconds)
        return
    waiter = Waiter(deadline_after(seconds))
    waiter.enter()
    try:
        waiter.lock.acquire()
    finally:
        waiter.leave()


def join(self: threading.Thread, timeout: float | None = None) -> None:
    """threading.Thread.join, in this clock's time: LocalStack ends executions so that took too long."""
    if timeout is None or timeout <= 0 or not self.is_alive():
        machine_join(self, timeout)
        return
    waiter = Waiter(deadline_after(timeout), counts=False)
    waiter.enter()
    try:
        while self.is_alive() and not waiter.timed_out:
            machine_join(self, LOOK_SECONDS)
    finally:
        waiter.leave()


def now_ns() -> int:
    """The time, in nanoseconds since 1970, which has always moved on since the last call.

    LocalStack sorts by it here and there.
    """
    global moved_by_looks
    assert page is not None
    with lock:
        page.words[NOW] += LOOK_NS
        moved_by_looks += LOOK_NS
        return page.words[NOW]


def now() -> float:
    return now_ns() / 1e9


def new_place() -> Place | None:
    """A place for a function's process, at work; None with the machine's clock."""
    return page.place(FUNCTION, 0) if page else None


@contextlib.contextmanager
def at_work(place: Place | None) -> Iterator[None]:
    """A function's process serves an invocation in the block, and rests afterwards."""
    if place is None:
        yield
        return
    note(place, serves=True)
    try:
        yield
    finally:
        note(place, serves=False)


def note(place: Place, serves: bool) -> None:
    global changes
    with lock:
        place.serves = serves
        changes += 1


class Processor:
    """The processor time that a process uses, between one look and the next."""

    def __init__(self, pid: int) -> None:
        self.process = psutil.Process(pid)
        self.before = self.total()

    def total(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def look(self) -> tuple[float, bool]:
        """Seconds since the last look, and whether the process only blocks: it neither computes nor wants to."""
        with self.process.oneshot():
            total, status = self.total(), self.process.status()
        used, self.before = total - self.before, total
        # macOS says of every process that it runs
        blocks = status == psutil.STATUS_SLEEPING if sys.platform == "linux" else not used
        return used, blocks


class Keeper:
    """The thread that moves the time."""

    def __init__(self, of: Page) -> None:
        self.page, self.words = of, of.words
        self.processors: dict[int, Processor] = {}
        self.last, self.own = machine_monotonic_ns(), 0
        self.seen = -1  # ``changes`` when nothing was at work
        self.looked_after = 0
        self.alone = True

    def run(self) -> None:
        self.thread = threading.get_ident()
        while True:
            machine_sleep(TICK_SECONDS_ALONE if self.alone else TICK_SECONDS)
            try:
                with lock:
                    self.tick()
            except Exception:
                LOG.exception("the clock")

    def tick(self) -> None:
        global moved_by_looks
        real = machine_monotonic_ns()
        passed, self.last = max(real - self.last - moved_by_looks, 0), real
        moved_by_looks = 0
        own, before = time.process_time_ns() - time.thread_time_ns(), self.own
        self.own = own
        places = self.look_after(real)
        clients = [place for place in places if place.kind in (CLIENT, CLIENT_ON_REAL_TIME)]
        self.alone = not clients
        if self.alone or any(place.kind == CLIENT_ON_REAL_TIME for place in clients):
            self.move(passed)
            return
        passed = min(passed, LONGEST_TICK_NS)
        used, blocking = [], False
        for place in places:
            if place.serves and place.until <= self.words[NOW]:
                seconds, blocks = self.processor(place.owner)
                if blocks:
                    blocking = True
                else:
                    used.append(seconds * 1e9)
        if busy_threads(self.thread):
            used.append(own - before)
        if used:
            self.seen = -1
            self.move(max(int(sum(used) / len(used)), int(passed * FLOOR)))
        elif blocking:
            self.seen = -1
            self.move(passed)
        elif self.seen != changes:  # nothing at work; a second look, with nothing in between, must say so too
            self.seen = changes
            self.fire()
        else:
            self.jump(places, passed)

    def look_after(self, real: int) -> list[Place]:
        """The places; now and then, those of clients that are gone are released."""
        places = self.page.places()
        if real - self.looked_after > OWNERS_LOOKED_AFTER_SECONDS * 1e9:
            self.looked_after = real
            for place in places:
                if place.kind != FUNCTION and not runs(place.owner):
                    place.release()
            self.processors = {pid: self.processors[pid] for pid in self.processors if psutil.pid_exists(pid)}
            places = self.page.places()
        return places

    def processor(self, pid: int) -> tuple[float, bool]:
        """What ``Processor.look`` says of a process; one that has not begun, or just ended, is at work."""
        try:
            if pid and pid not in self.processors:
                self.processors[pid] = Processor(pid)
            return self.processors[pid].look() if pid else (0.0, False)
        except psutil.Error:
            self.processors.pop(pid, None)
            return 0.0, False

    def move(self, nanoseconds: int) -> None:
        self.words[NOW] += nanoseconds
        self.fire()

    def jump(self, places: list[Place], passed: int) -> None:
        sleeping = [place for place in places if place.serves and place.until > self.words[NOW]]
        for place in sleeping:
            if place.kind == FUNCTION and not self.processor(place.owner)[1]:
                return  # about to look at the time, or killed; whoever waits for its end has not heard of it yet
        due = [waiter.deadline for waiter in waiting if waiter.deadline is not None]
        first = min([*due, *(place.until for place in sleeping)], default=None)
        if first is None:
            self.move(passed)
            return
        ahead = max(first - self.words[NOW], 0)
        self.words[SKIPPED] += ahead
        self.words[JUMPS] += 1
        self.seen = -1
        self.move(ahead)

    def fire(self) -> None:
        """Ends the waits that are due."""
        limit = self.words[NOW]
        for waiter in [one for one in waiting if one.deadline is not None and one.deadline <= limit]:
            with contextlib.suppress(RuntimeError):
                waiter.end(timed_out=True)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def busy_threads(keeper: int) -> list[str]:
    """The threads of LocalStack that are at work; one of them will do."""
    starting: Any = threading
    if starting._limbo:
        return ["one that starts"]
    asleep = {waiter.thread for waiter in waiting}
    asleep.add(keeper)
    frames = sys._current_frames()
    for thread in list(starting._active):
        if thread not in asleep and (frame := frames.get(thread)) and not waits_outside(frame):
            return [f"{starting._active[thread].name}: {frame.f_code.co_filename}:{frame.f_lineno}"]
    return []


def waits_outside(frame: FrameType) -> bool:
    code = frame.f_code
    place = os.path.basename(code.co_filename), code.co_name
    if place in FOREIGN:
        return True
    if place == ("threading.py", "join"):
        if not frame.f_locals["self"].is_alive():
            return False
        within = frame.f_back  # of what is above, which also has to see that its time is over
        if within is None or within.f_code is not join.__code__:
            return True
        waiter = within.f_locals.get("waiter")  # none in a join without an end
        return waiter is None or not waiter.timed_out
    if place != ("socket.py", "readinto"):
        return False
    outer: FrameType | None = frame  # of a request that comes in; one that goes out is somebody's work
    while outer and not outer.f_code.co_filename.endswith(os.path.join("http", "server.py")):
        outer = outer.f_back
    return outer is not None


def start(path: Path) -> None:
    """Before anything else is imported that waits or asks for the time."""
    global page
    page = Page.create(path)
    keeper = Keeper(page)
    # The standard library's, before LocalStack is imported: its waits take no clock, and names that are imported from
    # it stay what they were then.
    waits: Any = threading
    waits.Condition.wait, waits.Thread.join, waits._time = condition_wait, join, now
    vars(time)["sleep"] = sleep
    time.monotonic, time.monotonic_ns = now, now_ns
    queues: Any = queue
    queues.time = now
    queues.SimpleQueue = queues._PySimpleQueue  # the one in C has waits of its own, which nobody sees
    travel(now_ns)
    threading.Thread(target=keeper.run, daemon=True, name="clock").start()


def stop() -> None:
    """The time moves as the machine's from now on: the process ends."""
    if page:
        page.place(CLIENT_ON_REAL_TIME, os.getpid())

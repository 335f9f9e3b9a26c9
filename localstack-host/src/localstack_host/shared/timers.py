"""Functions that run at a time of day: what scheduled rules, schedules and retries of deliveries wait with.

AWS: does not apply; this is about the process on this machine.

LocalStack: has a scheduler that fails when two tasks are due at the same time (it compares the tasks), and polls
scheduled rules once a minute.

Here: one thread sleeps until the next function is due and hands it to a small pool. Nothing runs in between.

Evidence: does not apply.
"""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

LOG = logging.getLogger(__name__)

WORKERS = 16
# Sleeps end at the latest then, in case that the machine's clock was set.
LONGEST_SLEEP_SECONDS = 300


@dataclass(order=True)
class Timer:
    """A function that is going to run; ``cancel`` keeps it from starting."""

    due: float
    number: int
    function: Callable[..., None] = field(compare=False)
    arguments: tuple[Any, ...] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if self.cancelled:
            return
        try:
            self.function(*self.arguments)
        except Exception:
            LOG.exception("a timer's function failed")


class Timers:
    def __init__(self) -> None:
        self.waiting: list[Timer] = []
        self.numbers = itertools.count()
        self.changed = threading.Condition()
        self.pool: ThreadPoolExecutor | None = None

    def at(self, due: float, function: Callable[..., None], *arguments: Any) -> Timer:
        """Runs ``function(*arguments)`` at ``due`` (seconds since 1970), or at once when that is past."""
        timer = Timer(due, next(self.numbers), function, arguments)
        with self.changed:
            if self.pool is None:
                self.pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="timer")
                threading.Thread(target=self.loop, daemon=True, name="timers").start()
            heapq.heappush(self.waiting, timer)
            if self.waiting[0] is timer:
                self.changed.notify()
        return timer

    def loop(self) -> None:
        assert self.pool is not None
        while True:
            with self.changed:
                while not self.waiting or (left := self.waiting[0].due - time.time()) > 0:
                    self.changed.wait(min(left, LONGEST_SLEEP_SECONDS) if self.waiting else None)
                timer = heapq.heappop(self.waiting)
            try:
                self.pool.submit(timer.run)
            except RuntimeError:  # the interpreter is shutting down
                return


TIMERS = Timers()

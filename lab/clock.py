"""The clock of a target: the machine's, or that of a LocalStack whose time jumps while an experiment waits."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tenacity import Retrying, wait_exponential, wait_fixed
from tenacity.wait import wait_base

from lab.console import LabError

REAL, VIRTUAL = "real", "virtual"

# How much longer than on the target's clock a wait may take on the machine's, before it is the clock that is at fault.
MACHINE_SECONDS = 240.0


class Clock:
    """The machine's: that of AWS, and of the LocalStack that people use. Moments are in seconds since the epoch."""

    name = REAL

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Waits for nothing but the time."""
        time.sleep(seconds)

    def retrying(self, within: float, every: float, **options: Any) -> Retrying:
        """A tenacity.Retrying that tries now, and again until `within` seconds of this clock are over.

        Or until these and MACHINE_SECONDS are over on the machine's clock. `options` are Retrying's.
        """
        end, machine_end = self.now() + within, time.monotonic() + within + MACHINE_SECONDS
        return Retrying(
            stop=lambda _: self.now() >= end or time.monotonic() >= machine_end,
            wait=self._pauses(every),
            sleep=self.sleep,
            **options,
        )

    def _pauses(self, every: float) -> wait_base:
        return wait_fixed(every)

    @contextmanager
    def used(self, real_time: bool = False) -> Iterator["Clock"]:
        """The block depends on the time; yields the clock that it runs on."""
        yield REAL_CLOCK


REAL_CLOCK = Clock()


class VirtualClock(Clock):
    """That of a LocalStack with `--clock virtual`, whose page is in `file`; localstack-host/README.md has its rules.

    While a block uses it, this process is one of those that its time depends on: the time jumps only while the block
    waits, in `sleep` or between two tries of `retrying`. For one thread.
    """

    name = VIRTUAL

    def __init__(self, file: Path) -> None:
        self.file = file
        self._page: Any = None
        self._place: Any = None

    def now(self) -> float:
        return float(self._opened().now())

    def sleep(self, seconds: float) -> None:
        """Raises LabError when the time does not come although the machine's is long over."""
        if not self._place:
            time.sleep(seconds)  # nobody is there that it could jump for: the time moves as the machine's
            return
        until = self._opened().now_ns() + int(seconds * 1e9)
        if not self._place.wait(until, seconds + MACHINE_SECONDS):
            raise LabError(f"The virtual clock {self.file} stands: {seconds:g} s of it have not passed. Is it served?")

    def _pauses(self, every: float) -> wait_base:
        """Longer and longer ones: it is the tries that cost, and no longer the time between them."""
        return wait_exponential(multiplier=every, exp_base=1.1, max=max(every, 1.0))

    @contextmanager
    def used(self, real_time: bool = False) -> Iterator[Clock]:
        """With `real_time` it moves as the machine's for as long as the block runs."""
        from localstack_host.clock.page import CLIENT, CLIENT_ON_REAL_TIME

        self._place = self._opened().place(CLIENT_ON_REAL_TIME if real_time else CLIENT, os.getpid())
        try:
            yield REAL_CLOCK if real_time else self
        finally:
            self._place.release()
            self._place = None

    def _opened(self) -> Any:
        from localstack_host.clock.page import Page  # the extension is on the path of tests, not of all commands

        self._page = self._page or Page(self.file)
        return self._page

"""The clock of a target: what waits on a virtual one, says so, and is over when its time has come."""

import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from localstack_host.clock.page import AT_WORK, CLIENT, CLIENT_ON_REAL_TIME, NOW, Page
from tenacity import RetryError, retry_if_result

from lab import clock
from lab.clock import REAL_CLOCK, VirtualClock
from lab.console import LabError


class Keeper:
    """Moves the time of a page to the moment that its only client waits for, as LocalStack's does; notes each jump."""

    def __init__(self, file: Path) -> None:
        self.page = Page.create(file)
        self.jumps: list[float] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        while not self.ended.wait(0.001):
            for place in self.page.places():
                if (ahead := place.until - self.page.now_ns()) > 0:
                    self.jumps.append(ahead / 1e9)
                    self.page.words[NOW] += ahead


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path / "clock")
    made.thread.start()
    yield made
    made.ended.set()
    made.thread.join()


@pytest.fixture
def virtual(keeper: Keeper) -> VirtualClock:
    return VirtualClock(Path(keeper.page.path))


def test_the_real_clock_is_the_machines() -> None:
    before = time.time()
    with REAL_CLOCK.used() as used:
        assert used.name == "real"
        assert before <= used.now() <= time.time()


def test_an_hour_of_virtual_time_is_over_when_nothing_is_at_work(virtual: VirtualClock, keeper: Keeper) -> None:
    began, machine = virtual.now(), time.monotonic()
    with virtual.used() as used:
        assert used.name == "virtual"
        used.sleep(3600)

    assert virtual.now() - began == pytest.approx(3600)
    assert keeper.jumps == [pytest.approx(3600)]
    assert time.monotonic() - machine < 60


def test_a_block_that_uses_the_time_is_at_work_but_while_it_waits(virtual: VirtualClock, keeper: Keeper) -> None:
    with virtual.used():
        [place] = keeper.page.places()
        assert (place.kind, place.until) == (CLIENT, AT_WORK)
        virtual.sleep(1)
        assert place.until == AT_WORK


def test_it_no_longer_depends_on_a_block_that_failed(virtual: VirtualClock, keeper: Keeper) -> None:
    with pytest.raises(RuntimeError), virtual.used():
        raise RuntimeError

    assert keeper.page.places() == []


def test_a_block_on_real_time_says_so(virtual: VirtualClock, keeper: Keeper) -> None:
    with virtual.used(real_time=True) as used:
        assert used.name == "real"
        assert [place.kind for place in keeper.page.places()] == [CLIENT_ON_REAL_TIME]


def test_tries_end_when_the_target_s_time_is_over(virtual: VirtualClock) -> None:
    tries: list[float] = []

    with virtual.used(), pytest.raises(RetryError):
        virtual.retrying(60, 0.25, retry=retry_if_result(lambda seen: not seen))(lambda: tries.append(virtual.now()))

    assert 60 <= tries[-1] - tries[0] < 62
    pauses = [round(later - sooner, 2) for sooner, later in pairwise(tries)]
    assert (pauses[0], pauses[-1]) == (0.25, 1.0)


def test_tries_end_when_the_machines_time_is_long_over(virtual: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MACHINE_SECONDS", -3600)
    tries: list[int] = []

    with virtual.used(), pytest.raises(RetryError):
        virtual.retrying(3600, 0.25, retry=retry_if_result(lambda seen: not seen))(lambda: tries.append(1))

    assert tries == [1]


def test_a_clock_that_stands_fails_what_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "MACHINE_SECONDS", 0.0)
    Page.create(tmp_path / "clock")
    standing = VirtualClock(tmp_path / "clock")

    with standing.used(), pytest.raises(LabError, match=r"clock stands: 0\.01 s of it have not passed"):
        standing.sleep(0.01)

"""What the clock does at each tick, with the machine's time and LocalStack's threads in the test's hand."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import PYTHON, wait_until
from localstack_host.clock import keeper as module
from localstack_host.clock.keeper import FLOOR, Keeper, Processor, Waiter
from localstack_host.clock.page import (
    CLIENT,
    CLIENT_ON_REAL_TIME,
    FUNCTION,
    JUMPS,
    NOW,
    SKIPPED,
    Page,
    Place,
)

SECOND = 10**9
TICK = SECOND // 100


class Machine:
    """A keeper, and what it sees of the machine."""

    def __init__(self, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        self.page, self.real = page, 0
        self.busy: list[str] = []  # threads of LocalStack
        self.looks: dict[int, tuple[float, bool]] = {}  # by process: processor time (s), whether it only blocks
        monkeypatch.setattr(module, "page", page)
        monkeypatch.setattr(module, "waiting", {})
        monkeypatch.setattr(module, "moved_by_looks", 0)
        monkeypatch.setattr(module, "machine_monotonic_ns", lambda: self.real)
        monkeypatch.setattr(module, "busy_threads", lambda _: self.busy)
        monkeypatch.setattr(module, "runs", lambda _: True)
        self.keeper = Keeper(page)
        self.keeper.thread = 0
        monkeypatch.setattr(self.keeper, "processor", lambda pid: self.looks.get(pid, (0.0, True)))

    def passes(self, ticks: int = 1) -> int:
        """How far the clock goes, in nanoseconds."""
        before = self.page.now_ns()
        for _ in range(ticks):
            self.real += TICK
            self.keeper.tick()
        return self.page.now_ns() - before

    def waiter(self, seconds: float | None) -> Waiter:
        """A thread of LocalStack that waits."""
        waiter = Waiter(None if seconds is None else self.page.now_ns() + int(seconds * SECOND))
        waiter.enter()
        return waiter

    def client(self, seconds: float) -> Place:
        """One that waits; 0 for one at work."""
        place = self.page.place(CLIENT, 1)
        if seconds:
            place.until = self.page.now_ns() + int(seconds * SECOND)
        return place


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(Page.create(tmp_path / "clock"), monkeypatch)


def test_without_a_client_the_time_is_the_machines(machine: Machine) -> None:
    waiter = machine.waiter(1000)

    assert machine.passes(100) == SECOND
    assert not waiter.timed_out and machine.page.words[JUMPS] == 0


def test_a_client_on_real_time_holds_it_for_all(machine: Machine) -> None:
    machine.client(1000)
    machine.page.place(CLIENT_ON_REAL_TIME, 2)
    machine.waiter(1000)

    assert machine.passes(100) == SECOND
    assert machine.page.words[JUMPS] == 0


def test_while_all_wait_the_time_jumps_to_the_first_that_is_due(machine: Machine) -> None:
    machine.client(1000)
    ends = [machine.waiter(seconds) for seconds in (300, 60, 120)]
    machine.waiter(None)

    seen: list[Waiter] = []
    while len(seen) < 3:
        machine.passes()
        seen += [waiter for waiter in ends if waiter.timed_out and waiter not in seen]
        if seen and machine.page.words[JUMPS] == len(seen):
            assert machine.page.now_ns() == seen[-1].deadline

    assert seen == [ends[1], ends[2], ends[0]]
    assert machine.page.words[SKIPPED] == pytest.approx(300 * SECOND)


def test_a_client_is_jumped_to_as_well(machine: Machine) -> None:
    place = machine.client(5)
    machine.waiter(1000)

    machine.passes(2)

    assert machine.page.now_ns() == place.until


def test_one_client_at_work_is_enough_for_nobody_to_jump(machine: Machine) -> None:
    machine.client(1000)
    machine.client(0)
    machine.waiter(1000)

    assert machine.passes(100) == SECOND, "it only blocks, on what the clock knows nothing of"
    assert machine.page.words[JUMPS] == 0


def test_nothing_is_jumped_to_while_a_thread_of_localstack_is_at_work(machine: Machine) -> None:
    machine.client(1000)
    machine.waiter(1000)
    machine.busy = ["a request"]

    machine.passes(100)

    assert machine.page.words[JUMPS] == 0


def test_what_happens_between_two_looks_is_looked_at_again(machine: Machine) -> None:
    machine.client(1000)
    machine.waiter(1000)
    machine.passes()

    machine.waiter(2000).leave()  # began to wait and went on: nobody knows with what

    machine.passes()
    assert machine.page.words[JUMPS] == 0
    machine.passes()
    assert machine.page.words[JUMPS] == 1


def serving(machine: Machine, pid: int, processor: float) -> Place:
    place = machine.page.place(FUNCTION, pid)
    machine.looks[pid] = processor, False
    return place


def test_a_functions_processor_time_is_what_passes(machine: Machine) -> None:
    machine.client(1000)
    serving(machine, 2, 0.004)

    assert machine.passes(10) == pytest.approx(0.04 * SECOND)


def test_functions_side_by_side_take_no_longer_than_one(machine: Machine) -> None:
    machine.client(1000)
    for pid in range(2, 10):
        serving(machine, pid, 0.004)

    assert machine.passes(10) == pytest.approx(0.04 * SECOND)


def test_a_function_that_gets_no_processor_still_takes_time(machine: Machine) -> None:
    machine.client(1000)
    serving(machine, 2, 0)

    assert machine.passes(10) == pytest.approx(10 * TICK * FLOOR)


def test_a_machine_that_stood_still_does_not_count(machine: Machine) -> None:
    machine.client(0)
    machine.real += 3600 * SECOND

    assert machine.passes() == module.LONGEST_TICK_NS


def test_a_function_that_sleeps_is_jumped_to(machine: Machine) -> None:
    machine.client(1000)
    place = serving(machine, 2, 0)
    place.until = machine.page.now_ns() + 20 * SECOND
    machine.looks[2] = 0.0, True

    machine.passes(2)

    assert machine.page.now_ns() == place.until


def test_a_function_that_was_killed_in_its_sleep_is_not_jumped_past(machine: Machine) -> None:
    machine.client(1000)
    place = serving(machine, 2, 0)
    place.until = machine.page.now_ns() + 20 * SECOND  # what it said last, and a zombie does not block

    machine.passes(10)

    assert machine.page.words[JUMPS] == 0


def test_what_a_function_does_between_two_invocations_does_not_count(machine: Machine) -> None:
    machine.client(1000)
    place = serving(machine, 2, 0.01)
    with module.at_work(place):
        machine.passes(10)
        assert machine.page.words[JUMPS] == 0

    place.until = 0  # of a thread that went on

    machine.passes(2)
    assert machine.page.words[JUMPS] == 1


def test_the_place_of_a_client_that_is_gone_is_released(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    machine.page.place(CLIENT, process.pid)
    monkeypatch.setattr(module, "runs", RUNS)
    machine.passes(200)
    assert len(machine.page.places()) == 1

    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie is gone, too
    machine.passes(200)

    assert not machine.page.places()
    process.communicate()


RUNS = module.runs


class TestProcessor:
    @pytest.fixture
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """It blocks; after a line it works, for ever."""
        work = "input()\nwhile True: pass"
        with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE) as process:
            yield process
            process.kill()

    def test_a_process_that_waits_for_a_line_blocks_and_one_that_computes_does_not(
        self, process: subprocess.Popen[bytes]
    ) -> None:
        processor = Processor(process.pid)
        wait_until(lambda: processor.look() == (0.0, True), every=0.05)

        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()

        def works() -> bool:
            used, blocks = processor.look()
            return used > 0 and not blocks

        wait_until(works, every=0.05)

    def test_a_process_that_was_stopped_is_not_one_that_blocks(self, process: subprocess.Popen[bytes]) -> None:
        processor = Processor(process.pid)
        wait_until(lambda: processor.look() == (0.0, True), every=0.05)

        process.send_signal(signal.SIGSTOP)

        wait_until(lambda: not processor.look()[1], every=0.01)


class TestWaits:
    """The replaced waits, in threads of the test; nothing moves the time but the test."""

    @pytest.fixture
    def background(self, machine: Machine) -> Iterator[Callable[..., threading.Thread]]:
        threads: list[threading.Thread] = []

        def start(target: Callable[..., Any], *arguments: Any) -> threading.Thread:
            known = len(module.waiting)
            threads.append(threading.Thread(target=target, args=arguments, daemon=True))
            threads[-1].start()
            wait_until(lambda: len(module.waiting) > known, every=0.01)
            return threads[-1]

        yield start
        for waiter in list(module.waiting):
            waiter.end(timed_out=True)
        for thread in threads:
            thread.join(40)
            assert not thread.is_alive()

    def move(self, machine: Machine, seconds: float) -> None:
        machine.keeper.move(int(seconds * SECOND))

    def test_sleep_ends_when_it_is_due_and_not_before(
        self, machine: Machine, background: Callable[..., threading.Thread]
    ) -> None:
        thread = background(module.sleep, 100)
        (waiter,) = module.waiting

        self.move(machine, 99)
        assert not waiter.timed_out

        self.move(machine, 1)
        assert waiter.timed_out
        thread.join(40)
        assert not thread.is_alive()

    def test_a_condition_that_is_notified_is_at_work_before_it_has_run_a_line(
        self, machine: Machine, background: Callable[..., threading.Thread]
    ) -> None:
        condition, results = threading.Condition(), queue.Queue[bool]()

        def wait() -> None:
            with condition:
                results.put(module.condition_wait(condition, 100))

        background(wait)
        (waiter,) = module.waiting
        with condition:
            before = module.changes
            condition.notify()
            # The thread cannot have gone on: it needs the condition's lock, which is held here.
            assert waiter not in module.waiting
            assert module.changes > before
        assert results.get(timeout=40) is True

    def test_a_condition_that_nobody_notifies_ends_by_the_clock(
        self, machine: Machine, background: Callable[..., threading.Thread]
    ) -> None:
        condition, results = threading.Condition(), queue.Queue[bool]()

        def wait() -> None:
            with condition:
                results.put(module.condition_wait(condition, 100))

        background(wait)
        self.move(machine, 100)

        assert results.get(timeout=40) is False
        with condition:
            condition.notify()  # it is no longer in the list
        assert not module.waiting

    def test_who_waits_for_a_thread_stops_waiting_by_the_clock(
        self, machine: Machine, background: Callable[..., threading.Thread]
    ) -> None:
        never = threading.Event()
        worker = threading.Thread(target=never.wait, daemon=True)
        worker.start()
        joiner = background(module.join, worker, 100)
        (waiter,) = module.waiting
        assert waiter.thread is None, "by its frame alone is it known that it waits"

        self.move(machine, 100)

        joiner.join(40)
        assert not joiner.is_alive() and worker.is_alive()
        never.set()

    def test_who_waits_for_a_thread_goes_on_with_its_end(
        self, machine: Machine, background: Callable[..., threading.Thread]
    ) -> None:
        end = threading.Event()
        worker = threading.Thread(target=end.wait, daemon=True)
        worker.start()
        joiner = background(module.join, worker, 100)

        end.set()

        joiner.join(40)
        assert not joiner.is_alive() and not module.waiting

    def test_a_wait_of_no_time_lets_others_have_the_lock_and_is_no_wait(self, machine: Machine) -> None:
        with (condition := threading.Condition()):
            assert module.condition_wait(condition, 0) is False

        assert not module.waiting

    def test_the_time_has_always_moved_on(self, machine: Machine) -> None:
        times = [module.now_ns() for _ in range(100)]

        assert times == sorted(set(times))
        assert machine.page.words[NOW] == times[-1]


# In a process of its own: the waits of the standard library are replaced in it.
STARTED = """
import sys, queue, threading, time, os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from localstack_host.clock import keeper
from localstack_host.clock.page import CLIENT, Page
keeper.start(Path(sys.argv[1]))
import datetime
place = Page(sys.argv[1]).place(CLIENT, os.getpid())
place.until = keeper.now_ns() + 10**15
begin, real = time.time(), keeper.machine_monotonic_ns()
def timed(wait):
    at = time.monotonic()
    wait()
    return round(time.monotonic() - at)
def get():
    try:
        queue.Queue().get(timeout=300)
    except queue.Empty:
        pass
event = threading.Event()
threading.Timer(1000, event.set).start()
with ThreadPoolExecutor(8) as pool:
    waits = [lambda: time.sleep(100), lambda: threading.Event().wait(200), get, lambda: event.wait(5000)]
    print(*[each.result() for each in [pool.submit(timed, wait) for wait in waits]])
print(round(time.time() - begin), round(datetime.datetime.now().timestamp() - begin))
print((keeper.machine_monotonic_ns() - real) / 1e9)
os._exit(0)
"""


def test_waits_of_the_standard_library_are_the_clocks(tmp_path: Path) -> None:
    command = [PYTHON, "-c", STARTED, str(tmp_path / "clock")]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)

    waits, times, real = done.stdout.splitlines()
    assert waits == "100 200 300 1000"
    assert times == "1000 1000"
    assert float(real) < 40, "seconds of the machine's for a thousand"

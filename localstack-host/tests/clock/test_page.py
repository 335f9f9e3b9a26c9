"""The page: places that are taken and freed, and the time of whoever maps it."""

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from harness import FUNCTION_PYTHON, wait_until
from localstack_host.clock import page as page_module
from localstack_host.clock.page import (
    AT_WORK,
    CLIENT,
    CLIENT_ON_REAL_TIME,
    FUNCTION,
    MOST_PLACES,
    NOW,
    Full,
    Page,
    Place,
)

SECOND = 10**9


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page.create(tmp_path / "clock")


def test_who_maps_the_page_reads_the_same_time(page: Page) -> None:
    other = Page(page.path)

    page.words[NOW] += 3600 * SECOND

    assert other.now_ns() == page.words[NOW]
    assert other.now() == pytest.approx(page.words[NOW] / 1e9)


def test_a_page_that_is_not_there_is_no_new_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="clock"):
        Page(tmp_path / "clock")

    assert not list(tmp_path.iterdir())


def test_a_place_is_taken_once_and_free_again_after_its_release(page: Page) -> None:
    first, second = page.place(CLIENT, 1), page.place(CLIENT_ON_REAL_TIME, 2)

    assert first.number != second.number
    assert [(place.kind, place.owner) for place in page.places()] == [(CLIENT, 1), (CLIENT_ON_REAL_TIME, 2)]
    first.release()
    assert [place.owner for place in page.places()] == [2]
    assert page.place(FUNCTION, 3).number == first.number


def test_a_place_that_is_taken_again_keeps_nothing_of_its_last_owner(page: Page) -> None:
    old = page.place(FUNCTION, 1)
    old.until, old.serves = page.now_ns() + SECOND, False
    old.release()

    new = page.place(FUNCTION, 2)

    assert (new.number, new.owner, new.until, new.serves) == (old.number, 2, AT_WORK, True)


def test_two_at_once_get_two_places(page: Page) -> None:
    pages = [Page(page.path) for _ in range(8)]

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda number: pages[number % 8].place(CLIENT, number).number, range(200)))

    assert sorted(numbers) == list(range(200))


def test_more_than_there_are_places_for_are_refused_in_a_sentence(page: Page) -> None:
    page.words[page_module.USED] = MOST_PLACES
    for number in range(MOST_PLACES):
        Place(page, number).kind = CLIENT

    with pytest.raises(Full, match=f"{MOST_PLACES} functions and clients at once are the most"):
        page.place(CLIENT, 1)


class TestAClientsWait:
    def test_ends_when_the_page_says_so(self, page: Page) -> None:
        place = page.place(CLIENT, os.getpid())
        until = page.now_ns() + 3600 * SECOND
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(place.wait, until, 40)
            wait_until(lambda: place.until == until, every=0.01)

            page.words[NOW] = until

            assert waiting.result(40) is True
        assert place.until == AT_WORK, "what it does then is work"

    def test_ends_by_the_machines_time_too(self, page: Page) -> None:
        place = page.place(CLIENT, os.getpid())

        assert place.wait(page.now_ns() + 3600 * SECOND, longest=0.05) is False
        assert place.until == AT_WORK

    def test_of_what_is_past_takes_no_time(self, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(page_module, "machine_sleep")

        assert page.place(CLIENT, os.getpid()).wait(page.now_ns(), longest=0) is True


# What ``lambda_.bootstrap`` does, before ``then``; sys.argv[1:] are page.py's path and the place's name.
FUNCTION_SOURCE = """
import datetime, importlib.util, sys, threading, time
specification = importlib.util.spec_from_file_location("page", sys.argv[1])
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)
clock = module.FunctionClock(sys.argv[2])
watcher = threading.Thread(target=sys.stdin.read, daemon=True)
watcher.start()
clock.install(watcher.ident)
"""


@pytest.fixture
def place(page: Page) -> Place:
    return page.place(FUNCTION, 0)


class Function:
    """A process with the page's time in it."""

    def __init__(self, place: Place, then: str) -> None:
        command = [FUNCTION_PYTHON, "-c", FUNCTION_SOURCE + then, str(page_module.__file__), place.name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        place.owner = self.process.pid

    def printed(self) -> str:
        return self.process.communicate(timeout=40)[0]


@pytest.fixture
def started() -> Iterator[list[Function]]:
    functions: list[Function] = []
    yield functions
    for function in functions:
        function.process.kill()
        function.process.communicate()


class TestAFunction:
    def test_reads_the_pages_time_by_whatever_name(self, page: Page, place: Place, started: list[Function]) -> None:
        page.words[NOW] = 4_102_444_800 * SECOND  # 2100-01-01
        names = [
            *("time.time()", "time.time_ns() / 1e9", "datetime.datetime.now().timestamp()"),
            *("datetime.datetime.now(datetime.UTC).timestamp()", "time.monotonic()", "time.perf_counter()"),
            *("time.monotonic_ns() / 1e9", "float(time.strftime('%s'))", "time.mktime(time.localtime())"),
        ]
        started.append(Function(place, f"print({', '.join(names)})"))

        assert [float(one) for one in started[0].printed().split()] == [4_102_444_800] * len(names)

    def test_sleeps_until_the_page_says_so(self, page: Page, place: Place, started: list[Function]) -> None:
        begin = page.now_ns()
        started.append(Function(place, "a = time.time(); time.sleep(1000); print(time.time() - a)"))
        until = wait_until(lambda: place.until, every=0.01)
        assert until == begin + 1000 * SECOND

        page.words[NOW] = until

        assert float(started[0].printed()) == pytest.approx(1000)
        assert place.until == AT_WORK

    def test_whose_other_thread_works_is_at_work(self, place: Place, started: list[Function]) -> None:
        work = "def work():\n    while True: pass\nthreading.Thread(target=work, daemon=True).start()\n"
        started.append(Function(place, f"{work}print('begun', flush=True)\ntime.sleep(1000)"))
        output = started[0].process.stdout
        assert output and output.readline() == "begun\n"

        for _ in range(20):
            assert place.until == AT_WORK
            threading.Event().wait(0.01)

    def test_whose_threads_all_sleep_waits_for_the_first(
        self, page: Page, place: Place, started: list[Function]
    ) -> None:
        begin = page.now_ns()
        sleepers = "for seconds in (500, 200, 900): threading.Thread(target=time.sleep, args=(seconds,)).start()\n"
        started.append(Function(place, f"{sleepers}time.sleep(700)"))

        wait_until(lambda: place.until == begin + 200 * SECOND, every=0.01)
        page.words[NOW] = begin + 200 * SECOND
        wait_until(lambda: place.until == begin + 500 * SECOND, every=0.01)

    def test_does_not_import_what_takes_long(self, place: Place, started: list[Function]) -> None:
        started.append(Function(place, "print([name for name in sys.modules if 'dateutil' in name or 'uuid' in name])"))

        assert started[0].printed() == "[]\n"

"""What a benchmark measures, and how."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Measurement:
    """A value in `unit`, the part of it in which Terraform's provider only waits, and what is promised at most
    (or, of a rate, at least)."""

    what: str
    value: float
    unit: str = "s"
    provider_waits: float = 0.0
    promised: float | None = None
    promised_at_least: float | None = None


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Yields a function that returns the seconds that the block took."""
    began = time.perf_counter()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.perf_counter()) - began
    ended.append(time.perf_counter())


def free_port() -> int:
    """A port of the loopback interface on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

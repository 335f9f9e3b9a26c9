"""The consumer's backoff: how long a message waits for its next receive."""

import pytest

from handlers import backoff


@pytest.mark.parametrize(
    ("receive_count", "shortest", "longest"), [(1, 60, 120), (2, 120, 240), (3, 240, 480), (4, 450, 900), (9, 450, 900)]
)
def test_the_delay_doubles_with_each_receive_up_to_a_limit(receive_count: int, shortest: int, longest: int) -> None:
    assert backoff.delay(receive_count, 60, lambda: 0.0) == longest
    assert backoff.delay(receive_count, 60, lambda: 1.0) == shortest


def test_messages_that_failed_together_do_not_come_back_together() -> None:
    assert len({backoff.delay(3, 60) for _ in range(50)}) > 10


def test_there_is_no_zero_delay() -> None:
    assert backoff.delay(1, 0) == 1


@pytest.mark.parametrize("environment", [{}, {"BACKOFF_BASE_SECONDS": ""}])
def test_without_a_base_there_is_no_backoff(environment: dict[str, str]) -> None:
    assert backoff.by_visibility_timeout(environment) is None

"""The formula behind a pattern's capacity: what depth and drain time to expect from a load."""

import pytest

from lab.capacity import Consumer, concurrency_after, predict

TWO_AT_A_TIME = Consumer(batch_size=10, batch_seconds=0.5, concurrency=2)  # 40 messages per second


def test_below_capacity_nothing_waits_and_littles_law_gives_what_is_in_flight() -> None:
    prediction = predict(30, 60, TWO_AT_A_TIME)

    assert prediction.depth == 0
    assert prediction.in_flight == pytest.approx(30 * 0.5)
    assert prediction.drain_seconds == pytest.approx(0, abs=0.2)
    assert prediction.utilisation == pytest.approx(0.75)


def test_above_capacity_the_depth_grows_by_the_difference_and_drains_at_capacity() -> None:
    prediction = predict(100, 20, TWO_AT_A_TIME)

    assert prediction.depth == pytest.approx((100 - 40) * 20, rel=0.01)
    assert prediction.drain_seconds == pytest.approx(1200 / 40, rel=0.01)
    assert prediction.wait_seconds == pytest.approx(1200 / 40, rel=0.01)
    assert prediction.in_flight == pytest.approx(2 * 10)
    assert prediction.utilisation == pytest.approx(2.5)


@pytest.mark.parametrize(("seconds", "concurrency"), [(0, 5), (60, 305), (249, 1250), (3600, 1250)])
def test_a_mapping_without_a_limit_starts_with_five_and_adds_300_a_minute(seconds: float, concurrency: float) -> None:
    assert concurrency_after(seconds) == concurrency


def test_a_limit_below_five_holds_from_the_start_and_a_higher_one_is_grown_into() -> None:
    assert concurrency_after(0, limit=2) == concurrency_after(3600, limit=2) == 2
    assert concurrency_after(0, limit=100) == 5
    assert concurrency_after(60, limit=100) == 100


def test_while_a_mapping_scales_up_a_load_below_its_final_capacity_waits() -> None:
    prediction = predict(2000, 60, Consumer(batch_size=10, batch_seconds=1, concurrency=300))  # 3,000 in the end

    assert prediction.utilisation == pytest.approx(2000 / 3000)
    # behind until concurrency is 200, after 39 s; until then 2000 t - (50 t + 25 t^2) arrive more than are taken
    assert prediction.depth == pytest.approx(1950 * 39 - 25 * 39**2, rel=0.01)

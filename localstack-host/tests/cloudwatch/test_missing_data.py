"""States of alarms with missing data: the two tables of AWS's page, and its text on premature transitions.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

import pytest
from localstack_host.cloudwatch.missing_data import alarm_state, evaluation_range

KEEP = None
NONE = "INSUFFICIENT_DATA"
POINTS = {"0": False, "X": True, "-": None}

# Data points (oldest first), M of N, then the state for missing, ignore, breaching and notBreaching.
TABLES = [
    # "Datapoints to Alarm and Evaluation Periods are both 3"
    ("0 - X - X", 3, ("OK", "OK", "OK", "OK")),
    ("0 - - - -", 3, ("OK", "OK", "OK", "OK")),
    ("- - - - -", 3, (NONE, KEEP, "ALARM", "OK")),
    ("0 X X - X", 3, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("- - X - -", 3, ("ALARM", KEEP, "ALARM", "OK")),
    # "a 2 out of 3, M out of N alarm"
    ("0 - X - X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 0 X 0 X", 2, ("ALARM", "ALARM", "ALARM", "ALARM")),
    ("0 - X - -", 2, ("OK", "OK", "ALARM", "OK")),
    ("- - - - 0", 2, ("OK", "OK", "ALARM", "OK")),
    ("- - - X -", 2, ("ALARM", KEEP, "ALARM", "OK")),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def state(points: str, datapoints_to_alarm: int, treat_missing_data: str, periods: int = 3) -> str | None:
    return alarm_state(
        [POINTS[point] for point in points.split()],
        periods,
        datapoints_to_alarm,
        treat_missing_data,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("points", "datapoints_to_alarm", "expected"), TABLES)
def test_tables(points: str, datapoints_to_alarm: int, expected: tuple[str | None, ...]) -> None:
    assert tuple(state(points, datapoints_to_alarm, one) for one in TREATMENTS) == expected


@pytest.mark.parametrize("points", ["- - - - X", "- - - X -"])
def test_one_recent_breaching_data_point_is_no_alarm_yet(points: str) -> None:
    """ "the alarm does not go immediately into ALARM state" """
    assert state(points, 3, "missing") == NONE
    assert state(points, 3, "ignore") is KEEP


@pytest.mark.parametrize("points", ["- - - X 0", "- - X - 0"])
def test_false_positives_are_avoided_when_the_next_data_point_is_not_breaching(points: str) -> None:
    assert state(points, 3, "missing") == "OK"


def test_an_alarm_ends_with_the_first_data_point_that_does_not_breach() -> None:
    """N of the evaluation range exist, so older ones do not count."""
    assert state("X X 0", 1, "missing", periods=1) == "OK"
    assert state("0 0 X", 1, "missing", periods=1) == "ALARM"


def test_the_evaluation_range_of_three_periods_is_five() -> None:
    assert evaluation_range(3) == 5

"""Missing data points, and M out of N.

AWS: an alarm is in ALARM when DatapointsToAlarm (M) of the most recent EvaluationPeriods (N) data points breach the
threshold. CloudWatch retrieves more data points than N, the evaluation range. If N of these exist, the most recent N
are evaluated, whatever TreatMissingData says; if fewer exist, all of these count and the others are filled in as
TreatMissingData says, as few as possible. Without any, the alarm goes to INSUFFICIENT_DATA (missing), keeps its state
(ignore), or goes to ALARM (breaching) or OK (notBreaching). With missing or ignore, "premature" transitions are
avoided: when only breaching data points exist and fewer than M, the alarm goes to ALARM (ignore: keeps its state) once
the oldest of them is at least as old as M periods
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html).

LocalStack: counts breaching data points among all that it retrieved, more than N, so that an alarm on one period
stays in ALARM for three; it sees a premature transition only when the oldest data point is exactly M periods old.

Here: the decision, which knows nothing of LocalStack; ``alarms`` calls it. Until the oldest breaching data point is as
old as M, the state is INSUFFICIENT_DATA, or kept: the page says only that it is not ALARM; an earlier edition of its
tables had these. The size of the evaluation range is not documented beyond 5 for N = 3; it is LocalStack's.

Evidence: documentation (every row of the page's two tables is a test); belief for the state before the transition
and for the evaluation range.
"""

from collections.abc import Sequence
from typing import Literal

TreatMissingData = Literal["missing", "ignore", "breaching", "notBreaching"]


def evaluation_range(evaluation_periods: int) -> int:
    """How many periods are looked at."""
    return evaluation_periods + max(evaluation_periods // 3, 2)


def alarm_state(
    points: Sequence[bool | None],
    evaluation_periods: int,
    datapoints_to_alarm: int,
    treat_missing_data: TreatMissingData,
) -> str | None:
    """OK, ALARM or INSUFFICIENT_DATA; None to keep the state.

    ``points`` is the evaluation range, oldest first: whether the data point breaches, None if it is missing.
    """
    existing = [point for point in points if point is not None]
    breaching = sum(existing[-evaluation_periods:])
    to_fill = max(evaluation_periods - len(existing), 0)
    if breaching >= datapoints_to_alarm:
        return "ALARM"
    if not to_fill or treat_missing_data == "notBreaching":
        return "OK"
    if treat_missing_data == "breaching":
        return "ALARM" if breaching + to_fill >= datapoints_to_alarm else "OK"
    if not all(existing):
        return "OK"
    if treat_missing_data == "ignore":
        return None
    oldest = next((age for age, point in zip(range(len(points), 0, -1), points, strict=True) if point), 0)
    return "ALARM" if oldest >= datapoints_to_alarm else "INSUFFICIENT_DATA"

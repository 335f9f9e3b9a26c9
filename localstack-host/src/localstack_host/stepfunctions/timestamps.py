"""Timestamps of workflows: the profile of RFC 3339 that Choice rules, Wait states and the Context object share.

AWS: "Timestamps must conform to the RFC3339 profile of ISO 8601", with an uppercase T between date and time, and an
uppercase Z where there is no numeric offset, as in 2016-08-18T17:33:00Z
(https://docs.aws.amazon.com/step-functions/latest/dg/state-wait.html,
https://docs.aws.amazon.com/step-functions/latest/dg/state-choice.html). The Context object's are of that form
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html).

LocalStack: takes those without fraction and with Z alone, in a Wait state also cuts fractions off, and compares with
the machine's local time. $$.State.EnteredTime has six decimal places and an offset, so that it is none of them.

Here: one reader for all, to the nanosecond. EnteredTime has milliseconds and Z, as $$.Execution.StartTime.

Evidence: documentation; recording for what is refused
(TestBaseScenarios::test_wait_timestamp_path, TestSnfBase::test_execution_dateformat).
"""

import re
from datetime import UTC, datetime, timedelta

TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])(\d\d):([0-5]\d))", re.ASCII)
NANOSECOND_DIGITS = 9
EPOCH = datetime(1970, 1, 1)


def nanoseconds(text: object) -> int | None:
    """The nanoseconds since 1970 that a timestamp says; None if it is no timestamp."""
    if not isinstance(text, str) or not (found := TIMESTAMP.fullmatch(text)):
        return None
    whole, fraction, sign, hours, minutes = found.groups()
    try:
        moment = datetime.fromisoformat(whole) - EPOCH
    except ValueError:
        return None
    offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
    if offset >= timedelta(days=1):
        return None
    seconds = (moment + offset if sign == "-" else moment - offset) // timedelta(seconds=1)
    return seconds * 10**9 + int((fraction or "").ljust(NANOSECOND_DIGITS, "0")[:NANOSECOND_DIGITS])


def written(moment: datetime) -> str:
    """
    >>> written(datetime(2026, 1, 2, 3, 4, 5, 678900, UTC))
    '2026-01-02T03:04:05.678Z'
    """
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"

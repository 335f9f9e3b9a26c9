"""When schedules are due, with the examples of AWS's pages.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from datetime import datetime

import pytest
from localstack_host.shared.schedule_expressions import (
    At,
    Cron,
    InvalidExpression,
    Rate,
    parse,
    time_zone,
)


def times(expression: str, start: str, count: int, zone: str = "UTC") -> list[str]:
    """The next ``count`` local times after ``start``; fewer when there are no more."""
    parsed, there = parse(expression), time_zone(zone)
    assert isinstance(parsed, Cron | At)
    moment = datetime.fromisoformat(start).replace(tzinfo=there).timestamp()
    found: list[str] = []
    while len(found) < count and (due := parsed.after(moment, there)) is not None:
        found.append(f"{datetime.fromtimestamp(due, there):%a %Y-%m-%d %H:%M}")
        moment = due
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(0 10 * * ? *)", ["Sat 2026-08-01 10:00", "Sun 2026-08-02 10:00"]),
        ("cron(0 18 ? * MON-FRI *)", ["Mon 2026-08-03 18:00", "Tue 2026-08-04 18:00"]),
        ("cron(0 18 ? * 2-6 *)", ["Mon 2026-08-03 18:00", "Tue 2026-08-04 18:00"]),
        ("cron(0 8 1 * ? *)", ["Sat 2026-08-01 08:00", "Tue 2026-09-01 08:00"]),
        ("cron(0/15 * * * ? *)", ["Sat 2026-08-01 00:15", "Sat 2026-08-01 00:30"]),
        ("cron(1/10 * * * ? *)", ["Sat 2026-08-01 00:01", "Sat 2026-08-01 00:11"]),
        ("cron(0/5 8-17 ? * MON-FRI *)", ["Mon 2026-08-03 08:00", "Mon 2026-08-03 08:05"]),
        ("cron(5,35 14 * * ? *)", ["Sat 2026-08-01 14:05", "Sat 2026-08-01 14:35"]),
        ("cron(0 9 ? * 2#1 *)", ["Mon 2026-08-03 09:00", "Mon 2026-09-07 09:00"]),
        ("cron(0 9 ? * TUE#2 *)", ["Tue 2026-08-11 09:00", "Tue 2026-09-08 09:00"]),
        ("cron(0 9 3W * ? *)", ["Mon 2026-08-03 09:00", "Thu 2026-09-03 09:00"]),
        ("cron(0 9 15W * ? *)", ["Fri 2026-08-14 09:00", "Tue 2026-09-15 09:00"]),
        ("cron(0 9 1W * ? *)", ["Mon 2026-08-03 09:00", "Tue 2026-09-01 09:00"]),
        ("cron(0 9 L * ? *)", ["Mon 2026-08-31 09:00", "Wed 2026-09-30 09:00"]),
        ("cron(0 9 ? * L *)", ["Sat 2026-08-01 09:00", "Sat 2026-08-08 09:00"]),
        ("cron(0 9 ? JAN,MAR 1 *)", ["Sun 2027-01-03 09:00", "Sun 2027-01-10 09:00"]),
        ("cron(0 0 29 2 ? *)", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("cron(0 0 1 1 ? 2027/10)", ["Fri 2027-01-01 00:00", "Thu 2037-01-01 00:00"]),
        ("cron(0 0 1 1 ? 2027)", ["Fri 2027-01-01 00:00"]),
        ("cron(0 0 30 2 ? *)", []),
        ("cron(0 10 * * ?)", ["Sat 2026-08-01 10:00", "Sun 2026-08-02 10:00"]),
        ("at(2026-08-01T13:00:00)", ["Sat 2026-08-01 13:00"]),
        ("at(2026-07-31T13:00:00)", []),
    ],
)
def test_times(expression: str, expected: list[str]) -> None:
    assert times(expression, "2026-08-01T00:00:00", 2) == expected


def test_the_last_friday_of_each_month_in_two_years() -> None:
    found = times("cron(15 10 ? * 6L 2022-2023)", "2021-01-01T00:00:00", 100)

    assert len(found) == 24
    assert found[0] == "Fri 2022-01-28 10:15"
    assert found[-1] == "Fri 2023-12-29 10:15"


def test_hours_over_midnight() -> None:
    found = times("cron(0/30 20-2 ? * MON-FRI *)", "2026-08-03T23:00:00", 8)

    assert found[0] == "Mon 2026-08-03 23:30"
    assert found[1:7] == [f"Tue 2026-08-04 {hour:02}:{minute:02}" for hour in (0, 1, 2) for minute in (0, 30)]
    assert found[7] == "Tue 2026-08-04 20:00"


def test_clocks_that_go_forward_skip_a_time_that_does_not_exist() -> None:
    found = times("cron(30 2 * * ? *)", "2026-03-07T00:00:00", 3, "America/Los_Angeles")

    assert found == ["Sat 2026-03-07 02:30", "Mon 2026-03-09 02:30", "Tue 2026-03-10 02:30"]


def test_clocks_that_go_back_do_not_repeat_a_time() -> None:
    zone = time_zone("America/Los_Angeles")
    parsed = parse("cron(30 1 * * ? *)")
    assert isinstance(parsed, Cron)
    before = datetime(2026, 10, 31, 12, tzinfo=zone).timestamp()

    first = parsed.after(before, zone)
    assert first is not None
    second = parsed.after(first, zone)

    # 1:30 before the shift is seven hours behind UTC, the next one eight
    assert first == datetime.fromisoformat("2026-11-01T01:30:00-07:00").timestamp()
    assert second == datetime.fromisoformat("2026-11-02T01:30:00-08:00").timestamp()


def test_a_time_zone() -> None:
    parsed = parse("cron(30 8 * * ? *)")
    assert isinstance(parsed, Cron)

    due = parsed.after(datetime.fromisoformat("2026-07-01T00:00:00-04:00").timestamp(), time_zone("America/New_York"))

    assert due == datetime.fromisoformat("2026-07-01T12:30:00+00:00").timestamp()


@pytest.mark.parametrize(
    ("expression", "seconds"), [("rate(1 minute)", 60), ("rate(2 hours)", 7200), ("rate(1 days)", 86400)]
)
def test_rate(expression: str, seconds: int) -> None:
    assert parse(expression) == Rate(seconds)


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 8 * * * *)",
        "cron(0 8 ? * ? *)",
        "cron(0 8 ? * 3#1,6#3 *)",
        "cron(0 8 ? * 3#6 *)",
        "cron(60 8 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 8 0 * ? *)",
        "cron(0 8 32W * ? *)",
        "cron(0 8 ? * 0 *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 * 13 ? *)",
        "cron(0 8 * * ? 1969)",
        "cron(0 8 * * ? 2200)",
        "cron(0/0 8 * * ? *)",
        "cron(0 8 * *)",
        "rate(0 minutes)",
        "rate(5 weeks)",
        "rate(minutes)",
        "at(2026-13-01T00:00:00)",
        "at(2026-01-01)",
        "every(5 minutes)",
        "5 minutes",
    ],
)
def test_what_is_invalid_is_refused(expression: str) -> None:
    with pytest.raises(InvalidExpression):
        parse(expression)


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(InvalidExpression, match="Mars/Olympus"):
        time_zone("Mars/Olympus")

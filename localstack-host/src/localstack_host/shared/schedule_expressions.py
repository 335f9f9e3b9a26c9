"""The expressions of EventBridge rules and EventBridge Scheduler: at(), rate() and AWS's dialect of cron().

AWS: cron() has the fields minutes, hours, day-of-month, month, day-of-week (1 is Sunday) and year (1970-2199), which
Scheduler lets one leave out. One of the two day fields is ``?``. ``L`` is the last day of the month or week, ``6L`` the
last Friday, ``3W`` the weekday closest to the 3rd, ``3#2`` the second Tuesday; hours may be a range over midnight
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html). Scheduler evaluates cron()
and at() in the schedule's time zone. A time that does not exist, when clocks go forward, is skipped; one that happens
twice, when they go back, runs only before the shift; days of rate() are 24 hours
(https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).

LocalStack: hands cron() to a library of another dialect, where 1 is Monday and ``W`` and ``#`` are unknown, makes
``*/5`` of rate(5 minutes), and evaluates both in UTC, to the minute.

Here: a parser and a search for the next time, without dependencies, used by ``events.scheduled_rules`` and
``scheduler.provider``.

Evidence: documentation, every example of both pages; belief that ``W`` stays in its month and that hours after
midnight belong to the date that they are on, as in Quartz.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

UNIT_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}
MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
DAYS_OF_WEEK = {name: number for number, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], start=1)}
FIRST_YEAR, LAST_YEAR = 1970, 2199
SATURDAY = 7

# Whether a date is one that a day field means.
type DayRule = Callable[[date], bool]


class InvalidExpression(Exception):
    """The text says which part of the expression is wrong, and why."""


@dataclass(frozen=True)
class At:
    """Once, at a local time."""

    when: datetime

    def after(self, moment: float, zone: tzinfo) -> float | None:
        """The time of the expression, in seconds since 1970, if it is later than ``moment``."""
        timestamp = existing(self.when, zone)
        return timestamp if timestamp is not None and timestamp > moment else None


@dataclass(frozen=True)
class Rate:
    """Every ``seconds``, counted from a start that the expression does not have."""

    seconds: int


@dataclass(frozen=True)
class Cron:
    minutes: list[int]
    hours: list[int]
    months: set[int]
    years: set[int]
    is_day: DayRule

    def after(self, moment: float, zone: tzinfo) -> float | None:
        """The first time later than ``moment``, both in seconds since 1970; None when there is none any more."""
        local = datetime.fromtimestamp(moment, zone)
        for day in self.days(local.date()):
            for hour in self.hours:
                for minute in self.minutes:
                    wall = datetime(day.year, day.month, day.day, hour, minute)
                    timestamp = existing(wall, zone)
                    if timestamp is not None and timestamp > moment:
                        return timestamp
        return None

    def days(self, first: date) -> Iterator[date]:
        for year in range(max(first.year, FIRST_YEAR), LAST_YEAR + 1):
            if year not in self.years:
                continue
            for month in sorted(self.months):
                for number in range(1, calendar.monthrange(year, month)[1] + 1):
                    day = date(year, month, number)
                    if day >= first and self.is_day(day):
                        yield day


def existing(wall: datetime, zone: tzinfo) -> float | None:
    """Seconds since 1970 of a local time: the earlier one if it happens twice, None if it does not happen."""
    there = wall.replace(tzinfo=zone, fold=0)
    timestamp = there.timestamp()
    back = datetime.fromtimestamp(timestamp, zone)
    return timestamp if back.replace(tzinfo=None) == wall else None


def time_zone(name: str) -> tzinfo:
    """Raises InvalidExpression if the time zone database has no such name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidExpression(f"{name!r} is not a time zone of the IANA database") from error


def parse(expression: str) -> At | Rate | Cron:
    """Raises InvalidExpression with the part that is wrong."""
    kind, bracket, body = expression.strip().partition("(")
    if not bracket or not body.endswith(")"):
        raise InvalidExpression(f"{expression!r} is not at(...), rate(...) or cron(...)")
    body = body[:-1]
    match kind:
        case "at":
            return at(body)
        case "rate":
            return rate(body)
        case "cron":
            return cron(body)
    raise InvalidExpression(f"{kind!r} is not at, rate or cron")


def at(body: str) -> At:
    try:
        return At(datetime.strptime(body, "%Y-%m-%dT%H:%M:%S"))
    except ValueError as error:
        raise InvalidExpression(f"at({body}) is not a time such as at(2022-11-20T13:00:00)") from error


def rate(body: str) -> Rate:
    found = re.fullmatch(r"(\d+)\s+(minute|hour|day)s?", body.strip())
    if not found or int(found[1]) == 0:
        raise InvalidExpression(f"rate({body}) is not a positive number and minutes, hours or days")
    return Rate(int(found[1]) * UNIT_SECONDS[found[2]])


def cron(body: str) -> Cron:
    fields = body.split()
    if len(fields) not in (5, 6):
        raise InvalidExpression(f"cron({body}) has {len(fields)} fields, not six")
    minutes, hours, day_of_month, month, day_of_week, year = [*fields, "*"][:6]
    if (day_of_month == "?") == (day_of_week == "?"):
        raise InvalidExpression("exactly one of day-of-month and day-of-week must be ?")
    return Cron(
        minutes=sorted(numbers(minutes, 0, 59, "minutes")),
        hours=sorted(numbers(hours, 0, 23, "hours")),
        months=numbers(month, 1, 12, "month", MONTHS),
        years=numbers(year, FIRST_YEAR, LAST_YEAR, "year"),
        is_day=days_of_week(day_of_week) if day_of_month == "?" else days_of_month(day_of_month),
    )


def numbers(field: str, least: int, most: int, name: str, names: dict[str, int] | None = None) -> set[int]:
    """The values of ``*``, ``1``, ``1-5``, ``1/10``, ``0-30/10`` and lists of these."""

    def number(text: str) -> int:
        value = (names or {}).get(text)
        if value is None and text.isascii() and text.isdigit():
            value = int(text)
        if value is None or not least <= value <= most:
            raise InvalidExpression(f"{name}: {text!r} is not between {least} and {most}")
        return value

    values: set[int] = set()
    for part in field.split(","):
        span, slash, increment = part.partition("/")
        if slash and not (increment.isascii() and increment.isdigit() and int(increment) > 0):
            raise InvalidExpression(f"{name}: {increment!r} is not an increment")
        step = int(increment) if slash else 1
        first, dash, last = span.partition("-")
        if span == "*":
            values.update(range(least, most + 1, step))
        elif not dash:
            start = number(span)
            values.update(range(start, most + 1, step) if slash else [start])
        elif (start := number(first)) <= (end := number(last)):
            values.update(range(start, end + 1, step))
        else:  # 20-2: over midnight, or over the end of the week
            around = [*range(start, most + 1), *range(least, end + 1)]
            values.update(around[::step])
    return values


def days_of_month(field: str) -> DayRule:
    plain: list[str] = []
    rules: list[DayRule] = []
    for part in field.split(","):
        if part == "L":
            rules.append(lambda day: day.day == last_day(day))
        elif part == "LW":
            rules.append(lambda day: day.day == closest_weekday(day, last_day(day)))
        elif found := re.fullmatch(r"(\d+)W", part):
            rules.append(closest_to(*numbers(found[1], 1, 31, "day-of-month")))
        else:
            plain.append(part)
    values = numbers(",".join(plain), 1, 31, "day-of-month") if plain else set()
    return lambda day: day.day in values or any(rule(day) for rule in rules)


def closest_to(wanted: int) -> DayRule:
    return lambda day: day.day == closest_weekday(day, wanted)


def days_of_week(field: str) -> DayRule:
    if "#" in field:
        name, _, ordinal = field.partition("#")
        if not re.fullmatch(r"[1-5]", ordinal):
            raise InvalidExpression(f"day-of-week: {field!r} is not one day and # with 1 to 5")
        (wanted,) = numbers(name, 1, 7, "day-of-week", DAYS_OF_WEEK)
        return lambda day: weekday(day) == wanted and (day.day - 1) // 7 + 1 == int(ordinal)
    plain, last = [], set()
    for part in field.split(","):
        if part == "L":
            plain.append(str(SATURDAY))
        elif part.endswith("L"):
            last |= numbers(part[:-1], 1, 7, "day-of-week", DAYS_OF_WEEK)
        else:
            plain.append(part)
    values = numbers(",".join(plain), 1, 7, "day-of-week", DAYS_OF_WEEK) if plain else set()
    return lambda day: weekday(day) in values or (weekday(day) in last and day.day > last_day(day) - 7)


def weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def closest_weekday(day: date, wanted: int) -> int | None:
    """The day in the month of ``day`` that ``wanted`` with W means; None if the month has no such day."""
    if wanted > last_day(day):
        return None
    meant = day.replace(day=wanted)
    if meant.isoweekday() == 6:
        nearest = meant - timedelta(days=1) if wanted > 1 else meant + timedelta(days=2)
    elif meant.isoweekday() == 7:
        nearest = meant + timedelta(days=1) if wanted < last_day(day) else meant - timedelta(days=2)
    else:
        nearest = meant
    return nearest.day

"""Filter patterns of CloudWatch Logs.

AWS: terms, ``"phrases"``, ``?optional`` and ``-excluded`` terms, ``%regular expressions%``, ``{ $.json = conditions }``
and ``[space, delimited, fields]``
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html).

LocalStack: matches everything (``get_pattern_matcher`` in ``localstack/services/logs/provider.py``).

Here: a parser and matcher that knows nothing of LocalStack. Not as on AWS: quotas on regular expressions are not
enforced.

Evidence: documentation (the page's examples are the tests).
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any

MISSING = object()
Lookup = Callable[[str], Any]
Condition = Callable[[Lookup], bool]


class InvalidPattern(ValueError):
    """A filter pattern that cannot be parsed; the message says where."""


@dataclass(frozen=True)
class Match:
    """A log event that matched; ``value`` gives a field that a metric filter refers to."""

    lookup: Lookup

    def value(self, selector: str) -> Any:
        """The scalar at ``$.json.path`` or ``$field``; None if there is none."""
        found = self.lookup(selector)
        return None if found is MISSING or isinstance(found, dict | list) else found


Matcher = Callable[[str], Match | None]


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Matcher:
    """A function from the message of a log event to its Match, or None.

    Raises InvalidPattern if ``pattern`` is not in the syntax above.
    """
    pattern = pattern.strip()
    if pattern.startswith("{"):
        return json_matcher(pattern)
    if pattern.startswith("["):
        return fields_matcher(pattern)
    return terms_matcher(pattern)


# Terms: ERROR "INTERNAL SERVER ERROR" ?WARN -DEBUG %AUTHORIZED%

TERM = re.compile(r'([?-]?)("(?:[^"\\]|\\.)*"|%[^%]*%|[^\s"]+)\s*')


def terms_matcher(pattern: str) -> Matcher:
    """Every plain term and no excluded one; of optional terms any, unless there are plain ones."""
    groups: dict[str, list[Callable[[str], bool]]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(pattern):
        found = TERM.match(pattern, at)
        if not found:
            raise InvalidPattern(f"unbalanced quotes at: {pattern[at:]}")
        groups[found[1]].append(containing(found[2]))
        at = found.end()
    required, optional, excluded = groups[""], groups["?"], groups["-"]

    def match(message: str) -> Match | None:
        if not all(term(message) for term in required) or any(term(message) for term in excluded):
            return None
        if optional and not required and not any(term(message) for term in optional):
            return None
        return Match(json_lookup(message))

    return match


def containing(term: str) -> Callable[[str], bool]:
    if term.startswith("%"):
        expression = regular_expression(term)
        return lambda message: expression.search(message) is not None
    text = unquoted(term)
    return lambda message: text in message


# JSON: { $.user.id = 1 && ($.actions[2] = "GET" || $.latency > 10e2) }


def json_matcher(pattern: str) -> Matcher:
    if not pattern.endswith("}"):
        raise InvalidPattern(f"a JSON pattern ends with }}: {pattern}")
    condition = parse_condition(pattern[1:-1])

    def match(message: str) -> Match | None:
        lookup = json_lookup(message)
        return Match(lookup) if condition(lookup) else None

    return match


def json_lookup(message: str) -> Lookup:
    """Finds ``$.a.b[0]`` in a message that is JSON; nothing in one that is not."""
    try:
        document = json.loads(message)
    except (ValueError, RecursionError):
        document = MISSING

    def lookup(selector: str) -> Any:
        if document is MISSING or not selector.startswith("$"):
            return MISSING
        value = document
        for name, index in re.findall(r"([\w-]+)|\[(\d+)\]", selector[1:]):
            if name and isinstance(value, dict) and name in value:
                value = value[name]
            elif index and isinstance(value, list) and int(index) < len(value):
                value = value[int(index)]
            else:
                return MISSING
        return value

    return lookup


# Space-delimited: [ip, user, ..., status_code = 4*, bytes > 1000]

FIELD = re.compile(r'\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)')
ENTRY_SEPARATOR = re.compile(r',(?=(?:[^"%]|"[^"]*"|%[^%]*%)*$)')


def fields_matcher(pattern: str) -> Matcher:
    """As many fields as entries, each entry's condition true; ``...`` stands for any number of fields."""
    if not pattern.endswith("]"):
        raise InvalidPattern(f"a space-delimited pattern ends with ]: {pattern}")
    entries = [entry.strip() for entry in ENTRY_SEPARATOR.split(pattern[1:-1])]
    if entries.count("...") > 1:
        raise InvalidPattern(f"more than one ellipsis: {pattern}")
    gap = entries.index("...") if "..." in entries else None
    entries = [entry for entry in entries if entry != "..."]
    names = [entry_name(entry) for entry in entries]
    conditions = [parse_condition(entry) for entry in entries if entry and not re.fullmatch(r"[\w-]+", entry)]

    def match(message: str) -> Match | None:
        fields = [bracketed or quoted or plain for bracketed, quoted, plain in FIELD.findall(message)]
        extra = len(fields) - len(names)
        if extra < 0 or (extra and gap is None):
            return None
        all_names = names if gap is None else [*names[:gap], *[""] * extra, *names[gap:]]
        lookup = field_lookup(dict(named_fields(all_names, fields)))
        return Match(lookup) if all(condition(lookup) for condition in conditions) else None

    return match


def entry_name(entry: str) -> str:
    found = re.match(r"\(*\s*([\w-]*)", entry)
    return found[1] if found else ""


def named_fields(names: list[str], fields: list[str]) -> Iterator[tuple[str, str]]:
    """Fields without a name are called by their position, from 1."""
    for position, (name, field) in enumerate(zip_longest(names, fields, fillvalue=""), 1):
        yield name or str(position), field


def field_lookup(fields: Mapping[str, str]) -> Lookup:
    return lambda selector: fields.get(selector.removeprefix("$"), MISSING)


# Conditions: shared by JSON and space-delimited patterns; && binds tighter than ||

COMPARISON = re.compile(
    r"\s*(\$?[\w.\[\]$-]+)\s*"
    r'(?:(NOT\s+EXISTS|IS\s+NULL|IS\s+TRUE|IS\s+FALSE)|(!=|>=|<=|=|>|<)\s*("(?:[^"\\]|\\.)*"|%[^%]*%|[^\s&|()]+))\s*'
)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
ORDER: dict[str, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
STATES: dict[str, Callable[[Any], bool]] = {
    "NOT EXISTS": lambda value: value is MISSING,
    "IS NULL": lambda value: value is None,
    "IS TRUE": lambda value: value is True,
    "IS FALSE": lambda value: value is False,
}


def parse_condition(text: str) -> Condition:
    """Raises InvalidPattern, naming the place."""
    at = 0

    def skip(token: str) -> bool:
        nonlocal at
        while at < len(text) and text[at].isspace():
            at += 1
        if not text.startswith(token, at):
            return False
        at += len(token)
        return True

    def primary() -> Condition:
        nonlocal at
        if skip("("):
            inner = alternatives()
            if not skip(")"):
                raise InvalidPattern(f"missing ) at: {text[at:] or 'the end'}")
            return inner
        found = COMPARISON.match(text, at)
        if not found:
            raise InvalidPattern(f"expected a condition at: {text[at:].strip() or 'the end'}")
        at = found.end()
        selector, state, order, wanted = found.groups()
        if state:
            holds = STATES[" ".join(state.split())]
            return lambda lookup: holds(lookup(selector))
        compare = comparison(order, wanted)
        return lambda lookup: compare(lookup(selector))

    def conjunction() -> Condition:
        parts = [primary()]
        while skip("&&"):
            parts.append(primary())
        return lambda lookup: all(part(lookup) for part in parts)

    def alternatives() -> Condition:
        parts = [conjunction()]
        while skip("||"):
            parts.append(conjunction())
        return lambda lookup: any(part(lookup) for part in parts)

    condition = alternatives()
    if text[at:].strip():
        raise InvalidPattern(f"unexpected: {text[at:].strip()}")
    return condition


def comparison(order: str, wanted: str) -> Callable[[Any], bool]:
    """A selector has to point to a scalar: neither = nor != is true of a list, an object or nothing."""
    if order in ("=", "!="):
        equal = equality(wanted)
        expected = order == "="
        return lambda value: is_scalar(value) and equal(value) == expected
    if not NUMBER.fullmatch(wanted):
        raise InvalidPattern(f"{order} compares numbers, and {wanted} is none")
    limit, ordered = float(wanted), ORDER[order]
    return lambda value: (found := number(value)) is not None and ordered(found, limit)


def equality(wanted: str) -> Callable[[Any], bool]:
    if wanted.startswith("%"):
        expression = regular_expression(wanted)
        return lambda value: expression.search(as_text(value)) is not None
    if NUMBER.fullmatch(wanted):
        limit = float(wanted)
        return lambda value: number(value) == limit or as_text(value) == wanted
    if wanted == "*":
        return lambda value: True
    start, middle, end = wildcards(unquoted(wanted))

    def equal(value: Any) -> bool:
        text = as_text(value)
        if start and end:
            return middle in text
        return text.endswith(middle) if start else text.startswith(middle) if end else text == middle

    return equal


def wildcards(text: str) -> tuple[bool, str, bool]:
    """``*`` stands for any text at the start and at the end of a string; elsewhere it is a character."""
    start, end = text.startswith("*"), text.endswith("*") and len(text) > 1
    return start, text[int(start) : len(text) - int(end)], end


def is_scalar(value: Any) -> bool:
    return value is not MISSING and value is not None and not isinstance(value, dict | list)


def number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else None


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def regular_expression(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text.strip("%"))
    except re.error as error:
        raise InvalidPattern(f"regular expression {text}: {error}") from error

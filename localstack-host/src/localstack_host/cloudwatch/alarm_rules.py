"""The rule expressions of composite alarms.

AWS: ``ALARM(a)``, ``OK(a)`` and ``INSUFFICIENT_DATA(a)`` are true if the alarm with that name or ARN is in that
state, TRUE always and FALSE never; AND, OR, NOT and parentheses combine them. Names can be in double quotes
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutCompositeAlarm.html).

LocalStack: knows only ALARM("arn") combined by OR; a composite alarm with any other rule is never evaluated.

Here: a parser that knows nothing of LocalStack; ``composite_alarms`` evaluates. NOT binds tighter than AND, AND
tighter than OR. Not as on AWS: AT_LEAST is refused, and so is nothing for its size (100 children, 500 elements).

Evidence: documentation; belief for the precedence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import pyparsing as pp

State = Callable[[str], str]  # the state of the alarm with a name or an ARN


class InvalidRule(ValueError):
    """A rule that cannot be parsed; the message says where."""


@dataclass(frozen=True)
class Rule:
    """``holds(state)`` tells whether the rule is true; ``children`` are the names or ARNs that it refers to."""

    holds: Callable[[State], bool]
    children: frozenset[str] = frozenset()


def in_state(tokens: pp.ParseResults) -> Rule:
    wanted, name = tokens
    return Rule(lambda state: state(name) == wanted, frozenset([name]))


def negation(tokens: pp.ParseResults) -> Rule:
    (rule,) = tokens
    return Rule(lambda state: not rule.holds(state), rule.children)


def combined(how: Callable[[Iterable[bool]], bool]) -> Callable[[pp.ParseResults], Rule]:
    def combine(tokens: pp.ParseResults) -> Rule:
        rules = list(tokens)
        return Rule(
            lambda state: how(rule.holds(state) for rule in rules),
            frozenset().union(*(rule.children for rule in rules)),
        )

    return combine


def grammar() -> pp.ParserElement:
    def word(text: str) -> pp.ParserElement:
        return pp.CaselessKeyword(text).suppress()

    rule = pp.Forward()
    function = pp.one_of("ALARM OK INSUFFICIENT_DATA", caseless=True, as_keyword=True)
    name = pp.QuotedString('"', esc_char="\\") | pp.Regex(r'[^()"]*[^()"\s]')
    left, right = pp.Suppress("("), pp.Suppress(")")
    child = (function + left + name + right).set_parse_action(in_state)
    true = word("TRUE").set_parse_action(lambda: Rule(lambda state: True))
    false = word("FALSE").set_parse_action(lambda: Rule(lambda state: False))
    operand = pp.Forward()
    operand <<= (word("NOT") + operand).set_parse_action(negation) | child | true | false | left + rule + right
    conjunction = pp.DelimitedList(operand, word("AND")).set_parse_action(combined(all))
    rule <<= pp.DelimitedList(conjunction, word("OR")).set_parse_action(combined(any))
    return rule


GRAMMAR = grammar()


@lru_cache(maxsize=1024)
def parse(rule: str) -> Rule:
    """Raises InvalidRule, naming the place."""
    try:
        return GRAMMAR.parse_string(rule, parse_all=True)[0]
    except pp.ParseException as error:
        raise InvalidRule(f"{error.msg} at: {rule[error.loc :] or 'the end'}") from error

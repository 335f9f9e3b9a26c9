"""Texts of policies with wildcards and variables.

AWS: "*" stands for any text and "?" for one character
(https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html). In policies of version
2012-10-17 ``${key}`` stands for the value of a key of the request, ``${key, 'text'}`` for the text where the request
has no such key, and ``${*}``, ``${?}``, ``${$}`` for the character itself. Without a value, or with several, what has
the variable matches nothing (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html). In an
ARN each of the six parts is compared by itself, so that a wildcard does not reach over a colon but in the last.

LocalStack: has no policies of its own; moto makes regular expressions of them, in which "." is any character.

Here: a text is read once, and becomes an expression when its variables have values. What a variable stands for has no
wildcards.

Evidence: documentation; belief that wildcards in a variable's value are none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from localstack_host.access.context import Context

ARN_PARTS = 6
PIECES = re.compile(r"\$\{(?P<variable>[^}]*)\}|(?P<wildcard>[*?])|(?P<text>[^*?$]+|\$)")
VARIABLE = re.compile(r"(?P<key>[\w:/.=+@-]+)\s*(?:,\s*'(?P<default>[^']*)')?")


@dataclass(frozen=True)
class Variable:
    key: str
    default: str | None


class BadTemplate(ValueError):
    """A text that has no form of a variable; the message says which."""


@dataclass(frozen=True)
class Template:
    """A text of a policy. With ``wildcards``, "*" and "?" are some; with ``variables``, "${...}" is one."""

    text: str
    wildcards: bool = True
    variables: bool = True

    def matches(self, value: str, context: Context, ignore_case: bool = False) -> bool:
        expression = self._expression(self.pieces, context)
        return expression is not None and _fits(expression, value, ignore_case)

    def matches_arn(self, arn: str, context: Context) -> bool:
        """Part by part; "*" alone is every ARN."""
        if self.text == "*":
            return True
        parts = arn.split(":", ARN_PARTS - 1)
        expressions = [self._expression(part, context) for part in self.arn_parts]
        return len(parts) == len(expressions) and all(
            expression is not None and _fits(expression, part, False)
            for expression, part in zip(expressions, parts, strict=True)
        )

    @cached_property
    def pieces(self) -> list[str | Variable]:
        """Expressions, and the variables between them. Raises BadTemplate."""
        return list(self._pieces())

    @cached_property
    def arn_parts(self) -> list[list[str | Variable]]:
        """The pieces of each part of an ARN."""
        parts: list[list[str | Variable]] = [[]]
        for piece in self.pieces:
            first, *others = piece.split(":", ARN_PARTS - len(parts)) if isinstance(piece, str) else [piece]
            parts[-1].append(first)
            parts += [[other] for other in others]
        return parts

    def _pieces(self) -> Iterator[str | Variable]:
        for piece in PIECES.finditer(self.text):
            if wildcard := piece["wildcard"]:
                yield {"*": ".*", "?": "."}[wildcard] if self.wildcards else re.escape(wildcard)
            elif piece["variable"] is None or not self.variables:
                yield re.escape(piece[0])
            elif piece["variable"] in ("*", "?", "$"):
                yield re.escape(piece["variable"])
            elif found := VARIABLE.fullmatch(piece["variable"]):
                yield Variable(found["key"].lower(), found["default"])
            else:
                raise BadTemplate(f"{piece[0]} is no policy variable")

    @staticmethod
    def _expression(pieces: list[str | Variable], context: Context) -> str | None:
        """None if a variable has no value."""
        expression = ""
        for piece in pieces:
            if isinstance(piece, Variable):
                values = context.values_of(piece.key) or (() if piece.default is None else (piece.default,))
                if len(values) != 1:
                    return None
                piece = re.escape(values[0])
            expression += piece
        return expression


def _fits(expression: str, value: str, ignore_case: bool) -> bool:
    return re.fullmatch(expression, value, re.DOTALL | (re.IGNORECASE if ignore_case else 0)) is not None

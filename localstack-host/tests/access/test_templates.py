"""Wildcards and variables of policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from localstack_host.access.context import Context, UnknownKey
from localstack_host.access.templates import BadTemplate, Template

CONTEXT = Context({"aws:username": "ann*", "aws:PrincipalTag/team": "red", "aws:TagKeys": ["a", "b"]})
PLAIN = st.text(st.sampled_from("ab.:/[]{}^\\-é\n"), max_size=8)


@pytest.mark.parametrize(
    ("text", "value", "matches"),
    [
        ("a*c", "abbc", True),
        ("a*c", "ac", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a.c", "abc", False),
        ("*", "a\nb", True),
        ("[a]", "a", False),
        ("ABC", "abc", False),
        ("${aws:username}", "ann*", True),
        ("${aws:username}", "anna", False),
        ("${AWS:UserName}/*", "ann*/x", True),
        ("${aws:PrincipalTag/team}", "red", True),
        ("${aws:PrincipalTag/none}", "", False),
        ("${aws:PrincipalTag/none, 'blue'}", "blue", True),
        ("${aws:PrincipalTag/team, 'blue'}", "blue", False),
        ("${aws:TagKeys}", "a", False),
        ("${*}${?}${$}", "*?$", True),
        ("${*}", "a", False),
        ("$a", "$a", True),
    ],
)
def test_a_template(text: str, value: str, matches: bool) -> None:
    assert Template(text).matches(value, CONTEXT) == matches


def test_without_variables_they_are_text() -> None:
    assert Template("${aws:username}", variables=False).matches("${aws:username}", CONTEXT)
    assert Template("*", wildcards=False).matches("*", CONTEXT)
    assert not Template("*", wildcards=False).matches("a", CONTEXT)


@pytest.mark.parametrize("text", ["${}", "${aws:username 'x'}", "${a b}", "${aws:username, x}"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        _ = Template(text).pieces


@pytest.mark.parametrize(
    ("text", "arn", "matches"),
    [
        ("*", "arn:aws:s3:::bucket", True),
        ("arn:aws:s3:::bucket/*", "arn:aws:s3:::bucket/a:b/c", True),
        ("arn:aws:sqs:*:1:orders", "arn:aws:sqs:eu-west-1:1:orders", True),
        ("arn:aws:sqs:*:orders", "arn:aws:sqs:eu-west-1:1:orders", False),
        ("arn:aws:sqs:*:1:orders", "arn:aws:sqs:eu-west-1:2:1:orders", False),
        ("arn:*:sqs:*:*:orders-?", "arn:aws:sqs:eu-west-1:1:orders-1", True),
        ("arn:aws:logs:*:*:log-group:/aws/*:*", "arn:aws:logs:eu-west-1:1:log-group:/aws/lambda/f:log-stream:s", True),
        ("arn:aws:s3:::${aws:PrincipalTag/team}/*", "arn:aws:s3:::red/a", True),
        ("arn:aws:s3:::${aws:PrincipalTag/none}/*", "arn:aws:s3:::/a", False),
        ("arn:aws:s3:::bucket", "*", False),
    ],
)
def test_an_arn_is_compared_part_by_part(text: str, arn: str, matches: bool) -> None:
    assert Template(text).matches_arn(arn, CONTEXT) == matches


@given(PLAIN)
def test_a_text_without_wildcards_matches_itself_alone(text: str) -> None:
    assert Template(text).matches(text, CONTEXT)
    assert not Template(text).matches(text + "a", CONTEXT)


@given(st.text(st.sampled_from("ab*?"), max_size=8), st.text(st.sampled_from("ab"), max_size=8))
def test_wildcards_are_those_of_a_shell(pattern: str, value: str) -> None:
    assert Template(pattern).matches(value, CONTEXT) == fnmatch.fnmatchcase(value, pattern)


def test_a_key_that_nobody_knows_is_no_absent_one() -> None:
    context = Context({"aws:username": "ann"}, known=["aws:username", "aws:SourceArn"])

    assert context.values_of("AWS:SourceArn") is None
    with pytest.raises(UnknownKey, match="aws:SourceVpc"):
        context.values_of("aws:SourceVpc")

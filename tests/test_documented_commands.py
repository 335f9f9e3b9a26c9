"""The `aws` commands in the pages are ones that the AWS CLI takes, version 2: a person types them at night.

They are compared with the models that the AWS CLI is made from, which boto3 has too.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import OperationModel

from lab import paths

PAGES = sorted(page for page in paths.ROOT.glob("**/*.md") if not {".lab", ".terraform"} & set(page.parts))
# https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-options.html
GLOBAL = {"--cli-read-timeout", "--cli-binary-format", "--query", "--output", "--region", "--profile", "--no-cli-pager"}
# https://docs.aws.amazon.com/cli/latest/reference/lambda/invoke.html: the file for the answer has no option
POSITIONAL = {("lambda", "invoke"): 1}
COMMAND = re.compile(r"(?<![\w./-])aws ([a-z0-9-]+) ([a-z0-9-]+)((?:[ \\\n]+(?:'[^']*'|\"[^\"]*\"|[^\s`|'\"]+))*)")


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command, in fenced blocks of a console and in inline code."""
    fenced = re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"(?<!`)`(aws [^`]+)`(?!`)", text)
    for code in (*fenced, *inline):
        for found in COMMAND.finditer(code.replace("\\\n", " ")):
            yield shlex.split(found[0].split("\n")[0])[1:]


def wrong(command: list[str]) -> str:
    """What the AWS CLI would refuse of a command (without `aws`); "" if nothing."""
    service, operation, *words = command
    session = botocore.session.get_session()
    service = {"s3api": "s3"}.get(service, service)  # the CLI's `s3` is a program of its own
    if service not in session.get_available_services():
        return f"there is no service {service}"
    model = session.get_service_model(service)
    operations: dict[str, OperationModel] = {
        xform_name(name, "-"): model.operation_model(name) for name in model.operation_names
    }
    if operation not in operations:
        return f"{service} has no {operation}"
    shape = operations[operation].input_shape
    members = {f"--{xform_name(name, '-')}": name for name in (shape.members if shape else {})}
    switches = {f"--no-{option[2:]}": option for option, name in members.items() if kind(shape, name) == "boolean"}
    given = [word.split("=")[0] for word in words if word.startswith("--")]
    given = [switches.get(option, option) for option in given]
    if unknown := [option for option in given if option not in members and option not in GLOBAL]:
        return f"{operation} has no {unknown[0]}"
    missing = [option for option, name in members.items() if shape and name in shape.required_members]
    if absent := [option for option in missing if option not in given]:
        return f"{operation} needs {absent[0]}"
    binary = [option for option in given if option in members and kind(shape, members[option]) == "blob"]
    if binary and "--cli-binary-format" not in given:
        return f"{binary[0]} is taken for Base64 without --cli-binary-format raw-in-base64-out"
    files = [word for word, before in zip(words, ["", *words], strict=False) if not {word[:2], before[:2]} & {"--"}]
    if len(files) != POSITIONAL.get((service, operation), 0):
        return f"{files} is no option's"
    return ""


def kind(shape: Any, member: str) -> str:
    return str(shape.members[member].type_name)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(paths.ROOT)) for page in PAGES])
def test_the_aws_cli_takes_every_command(page: Path) -> None:
    assert [(command, reason) for command in commands(page.read_text()) if (reason := wrong(command))] == []


def test_there_are_commands_to_check() -> None:
    assert len([command for page in PAGES for command in commands(page.read_text())]) >= 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("`aws lambda invoke --function-name f --payload '{}' out`", "--payload is taken for Base64 without"),
        ("`aws lambda invoke --function-name f`", "[] is no option's"),
        ("`aws sqs receive --queue-url u`", "sqs has no receive"),
        ("`aws nosuch list`", "there is no service nosuch"),
        ("`aws sqs receive-message`", "receive-message needs --queue-url"),
        ("`aws sqs receive-message --queue-url u --limit 3`", "receive-message has no --limit"),
        ("```console\naws sqs purge-queue\n```", "purge-queue needs --queue-url"),
    ],
)
def test_what_it_refuses_is_found(text: str, reason: str) -> None:
    [command] = commands(text)

    assert wrong(command).startswith(reason)

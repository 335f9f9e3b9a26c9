"""States and intrinsic functions get their values from the JSONPath core."""

from typing import Any

from localstack.services.stepfunctions.asl.component.common.string import string_expression
from localstack.services.stepfunctions.asl.component.intrinsic.argument import argument
from localstack.services.stepfunctions.asl.utils.json_path import NoSuchJsonPathError

from localstack_host.patching import replace
from localstack_host.stepfunctions.jsonpath import InvalidPath, NotFound, compiled


def extract(path: str, data: Any) -> Any:
    """What ``path`` leads to in ``data``. Raises LocalStack's NoSuchJsonPathError, which ends in States.Runtime."""
    try:
        return compiled(path).find(data)
    except (InvalidPath, NotFound) as error:
        raise NoSuchJsonPathError(json_path=path, data=data) from error


def install() -> None:
    # patch: one function evaluates all paths, and those who call it have imported it by name.
    replace(string_expression, "extract_json", extract)
    # patch: the same, for the arguments of intrinsic functions.
    replace(argument, "extract_json", extract)

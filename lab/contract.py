"""The contract of a pattern: what the lab knows of it, which is some of its Terraform outputs, as a type.

A pattern may have more outputs: they are for its own experiments. docs/contract.md explains it, with an example.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from lab.console import LabError

_EXACT = ConfigDict(extra="forbid")  # a misspelt field is an error, and so is one that nobody reads


@dataclass(frozen=True, config=_EXACT)
class Function:
    """A Lambda function."""

    name: str = Field(description="the function's name on the target")
    log_group: str = Field(description="the name of its log group")


@dataclass(frozen=True, config=_EXACT)
class Queue:
    """An SQS queue whose dead letters can be redriven."""

    url: str = Field(description="the queue's URL")
    dlq_arn: str = Field(description="the ARN of its dead-letter queue")


@dataclass(frozen=True, config=_EXACT)
class StateMachine:
    """A state machine of Step Functions."""

    arn: str = Field(description="the state machine's ARN")
    log_group: str = Field(description="the name of its log group")


@dataclass(frozen=True)
class Contract:
    """The outputs that the lab reads. Keys are short names: they do not begin with the deployment's name."""

    entry: str = Field(description="the function that `make send` and `make load` invoke, by its key in `functions`")
    functions: dict[str, Function] = Field(description="the functions, by short name")
    queues: dict[str, Queue] = Field(
        default_factory=dict, description="the queues whose dead letters `make redrive` moves back, by short name"
    )
    dead_letter_queues: dict[str, str] = Field(
        default_factory=dict,
        description="the other queues of what failed that `make peek` looks into: by short name, the URL",
    )
    operations: dict[str, str] = Field(
        default_factory=dict,
        description="what `make replay` and `make verify` invoke: by operation, the function's key in `functions`",
    )
    state_machines: dict[str, StateMachine] = Field(
        default_factory=dict, description="the state machines, by short name"
    )
    # Terraform leaves an output that is null out of `terraform output`
    faults_parameter: str | None = Field(
        default=None, description="the SSM parameter with the fault rules; null where `fault_injection` is false"
    )

    @classmethod
    def of(cls, pattern: str, outputs: Mapping[str, Any]) -> "Contract":
        """The contract that a pattern's outputs, decoded from JSON, state.

        Raises LabError when they break it: it names the pattern, and of each output that is wrong what was found and
        what was expected.
        """
        try:
            contract = _ADAPTER.validate_python(outputs)
        except ValidationError as error:
            raise _broken(pattern, [_problem(details) for details in error.errors()]) from error
        named = {"entry": contract.entry} | {f"operations.{name}": of for name, of in contract.operations.items()}
        wrong = [
            f"{output}: found {json.dumps(function)}, expected a key of `functions` ({', '.join(contract.functions)})"
            for output, function in named.items()
            if function not in contract.functions
        ]
        wrong += [
            f"dead_letter_queues.{name}: found the name of one of `queues`, expected another"
            for name in contract.dead_letter_queues
            if name in contract.queues
        ]
        if wrong:
            raise _broken(pattern, wrong)
        return contract


_ADAPTER = TypeAdapter(Contract)
SCHEMA: dict[str, Any] = _ADAPTER.json_schema()


def _broken(pattern: str, problems: list[str]) -> LabError:
    listed = "\n".join(f"  {problem}" for problem in problems)
    return LabError(f"The outputs of the pattern {pattern} break the contract (docs/contract.md):\n{listed}")


def _problem(details: ErrorDetails) -> str:
    """One thing that pydantic found wrong, in the words of the contract."""
    where = ".".join(map(str, details["loc"]))
    found = "nothing" if details["type"] == "missing" else json.dumps(details["input"])
    if details["type"] == "unexpected_keyword_argument":
        return f"{where}: found {found}, expected nothing of that name"
    node, expected = SCHEMA, ""
    for part in details["loc"]:
        node = _resolved(node["properties"][part] if "properties" in node else node["additionalProperties"])
        expected = node.get("description", expected).rstrip(".")  # an entry of a map is described by the map
    return f"{where}: found {found}, expected {expected[0].lower()}{expected[1:]}: {terraform_type(node)}"


def table() -> str:
    """The contract as a table of Markdown, for docs/contract.md."""
    rows = ["| Output | Is | Type | Needed |", "|---|---|---|---|"]
    for name, node in SCHEMA["properties"].items():
        needed = "yes" if name in SCHEMA["required"] else "no"
        rows.append(f"| `{name}` | {node['description']} | `{terraform_type(node)}` | {needed} |")
    return "\n".join(rows)


def terraform_type(node: dict[str, Any]) -> str:
    """A part of the contract's JSON schema as Terraform would write its type."""
    node = _resolved(node)
    if "properties" in node:
        return f"object({{ {', '.join(f'{name} = {terraform_type(of)}' for name, of in node['properties'].items())} }})"
    if "additionalProperties" in node:
        return f"map({terraform_type(node['additionalProperties'])})"
    return "string"  # `faults_parameter` may be null, as any type of Terraform's


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node

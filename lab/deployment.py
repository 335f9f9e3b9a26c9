"""A deployed copy of a pattern: apply it, read its outputs, destroy it, and prove that nothing is left."""

import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from lab import packages, paths
from lab.console import LabError
from lab.contract import Contract
from lab.targets import Target
from lab.terraform import Outcome, Terraform

RUN_VARIABLE = "LAB_RUN"  # the environment variable with the id of a run of tests: what it deploys is marked with it

# How long after it was deleted something may still be listed, on the local target; AWS does so with a queue for up to
# 60 s: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
GONE_WITHIN_SECONDS = 18

# what a synchronous invocation may send: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
INVOKE_LIMIT_BYTES = 6 * 1024 * 1024


def patterns() -> list[str]:
    """The names of the patterns."""
    return sorted(folder.parent.name for folder in paths.PATTERNS.glob("*/main.tf"))


def check_pattern(name: str) -> str:
    """The name itself. Raises LabError, listing the patterns, when there is none of that name."""
    if name not in patterns():
        wrong = f"Unknown PATTERN={name}." if name else "Which pattern? Say PATTERN=<name>."
        raise LabError(f"{wrong} There are: {', '.join(patterns())}.")
    return name


class FunctionFailed(LabError):
    """A function that was invoked has failed; `answer` is what Lambda gave back, decoded."""

    def __init__(self, function: str, answer: Any) -> None:
        said = answer
        if isinstance(answer, dict):  # its log has the rest
            said = {name: value for name, value in answer.items() if name not in ("requestId", "stackTrace")}
        super().__init__(f"The function {function} failed: {json.dumps(said)}")
        self.answer = answer


@dataclass(frozen=True)
class Depth:
    """How many messages a queue holds: an approximation, on AWS."""

    waiting: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        return self.waiting + self.in_flight + self.delayed


@dataclass(frozen=True)
class Deployment:
    """One copy of a pattern on a target. `name` prefixes everything that it consists of.

    The copy that `make apply` makes has the pattern's name; an isolated copy for experiments has a name of its own,
    and a workspace of its own.
    """

    pattern: str
    target: Target
    name: str
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pattern: str, target: Target) -> "Deployment":
        """The copy that `make apply` makes."""
        return cls(check_pattern(pattern), target, pattern)

    @classmethod
    def isolated(cls, pattern: str, target: Target, variables: dict[str, str]) -> "Deployment":
        """A new copy under a random name, which shares nothing with any other."""
        return cls(check_pattern(pattern), target, f"t{secrets.token_hex(3)}-{pattern}", variables)

    @property
    def workspace(self) -> str:
        if self.name == self.pattern:
            return self.target.name
        return f"{self.target.name}-{self.name.removesuffix(f'-{self.pattern}')}"

    @property
    def folder(self) -> Path:
        return paths.PATTERNS / self.pattern

    @cached_property
    def zips(self) -> list[Path]:
        """What its functions and layers are deployed from, built when first asked for. Raises LabError."""
        return packages.build(self.pattern)

    @cached_property
    def terraform(self) -> Terraform:
        return Terraform(self.folder, self.workspace, self.target.environment())

    @cached_property
    def outputs(self) -> dict[str, Any]:
        """Terraform's outputs. Raises LabError when the copy is not deployed."""
        outputs = self.terraform.outputs()
        if not outputs:
            raise LabError(f"{self.name} is not deployed on {self.target.name}: make apply PATTERN={self.pattern}")
        return outputs

    @cached_property
    def contract(self) -> Contract:
        """What the lab knows of the pattern, from its outputs. Raises LabError when they break the contract."""
        return Contract.of(self.pattern, self.outputs)

    def invoke(self, function: str, payload: Any = None) -> Any:
        """What a function, by its short name, answers to a payload (by default {}), decoded.

        Raises FunctionFailed when it fails, and LabError when the pattern has no such function.
        """
        if function not in self.contract.functions:
            known = ", ".join(self.contract.functions)
            raise LabError(f"The pattern {self.pattern} has no function {function!r}. There are: {known}.")
        name, content = self.contract.functions[function].name, json.dumps({} if payload is None else payload)
        return answer(function, self.target.client("lambda").invoke(FunctionName=name, Payload=content))

    def depth(self, queue_url: str) -> Depth:
        """How many messages a queue holds."""
        return depth(self.target.client("sqs"), queue_url)

    def event(self, name: str) -> Any:
        """A sample event of the pattern, decoded. Raises LabError, naming the file, when it cannot be sent."""
        known = sorted(file.stem for file in (self.folder / "events").glob("*.json"))
        if name not in known:
            raise LabError(f"Unknown EVENT={name}. There are: {', '.join(known)}.")
        file = self.folder / "events" / f"{name}.json"
        try:
            event = json.loads(file.read_text(encoding="utf-8"))
            size = len(json.dumps(event, allow_nan=False))
        except UnicodeDecodeError as error:
            raise LabError(f"{paths.shown(file)} is not UTF-8: {error}.") from error
        except (ValueError, RecursionError) as error:
            raise LabError(f"{paths.shown(file)} is not JSON: {error}.") from error
        except OSError as error:
            raise LabError(f"{paths.shown(file)} cannot be read: {error.strerror}.") from error
        if size > INVOKE_LIMIT_BYTES:
            raise LabError(f"{paths.shown(file)} is {size / 1e6:.1f} MB; Lambda takes at most 6 MB.")
        return event

    def apply(self, show: Callable[[str], None]) -> Outcome:
        """Builds, initialises and applies; in a run of tests, marks it as that run's. Raises LabError."""
        _ = self.zips
        self.terraform.init()
        if run := os.environ.get(RUN_VARIABLE):
            paths.write(_beside_state(self.pattern, self.workspace, "run"), run)
        outcome = self.terraform.apply(self._arguments, show)
        for cached in ("outputs", "contract"):
            self.__dict__.pop(cached, None)
        return outcome

    def destroy(self, show: Callable[[str], None]) -> Outcome:
        """Destroys it and proves it. Raises LabError, listing what is left, when something is."""
        _ = self.zips  # Terraform reads their hashes, also to destroy
        self.terraform.init()
        outcome = self.terraform.destroy(self._arguments, show)
        show("looking for anything left")
        if left := self.wait_until_gone():
            listed = "\n".join(f"  {resource}" for resource in left)
            raise LabError(f"Destroyed, but this is left of {self.name} on {self.target.name}:\n{listed}")
        self.terraform.forget()
        return outcome

    def wait_until_gone(self) -> list[str]:
        """What is still there of this copy once AWS has had time to forget it: empty, if all went well."""
        seconds = GONE_WITHIN_SECONDS * self.target.patience
        wait = Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.5), retry=retry_if_result(bool))
        try:
            return list(wait(lambda: sorted(leftovers(self.target, self.name))))
        except RetryError as error:
            return list(error.last_attempt.result())

    def keep(self) -> None:
        """Notes that this isolated copy stays for a later run."""
        paths.write(_kept_file(self.pattern, self.workspace), json.dumps(self.variables))

    @property
    def is_kept(self) -> bool:
        """Whether it was noted that this copy stays."""
        return _kept_file(self.pattern, self.workspace).exists()

    @property
    def _arguments(self) -> dict[str, str]:
        # relative, as the variable's default is: a plain `terraform plan` in the folder must see no difference
        return {"name": self.name, "build_dir": os.path.relpath(paths.BUILD, self.folder), **self.variables}


def answer(function: str, response: Mapping[str, Any]) -> Any:
    """What Lambda's Invoke gave back for a function, decoded. Raises FunctionFailed when the function failed."""
    content = json.load(response["Payload"])
    if "FunctionError" in response:
        raise FunctionFailed(function, content)
    return content


def depth(sqs: Any, queue_url: str) -> Depth:
    """How many messages a queue holds, asked of a client of SQS."""
    asked = {
        "waiting": "ApproximateNumberOfMessages",
        "in_flight": "ApproximateNumberOfMessagesNotVisible",
        "delayed": "ApproximateNumberOfMessagesDelayed",
    }
    found = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(asked.values()))["Attributes"]
    return Depth(**{field: int(found[attribute]) for field, attribute in asked.items()})


def deployed(target_name: str | None = None) -> Iterator[tuple[str, str]]:
    """(pattern, workspace) of every copy of which Terraform holds state, on one target or on all."""
    for state in sorted(paths.STATE.glob("*/*/terraform.tfstate")):
        workspace = state.parent.name
        if target_name is None or workspace == target_name or workspace.startswith(f"{target_name}-"):
            yield state.parent.parent.name, workspace


def copies(pattern: str, target: Target) -> dict[str, Deployment]:
    """A pattern's isolated copies that are deployed, by what `COPY=` calls them."""
    names = [name for of, name in deployed(target.name) if of == pattern and name != target.name]
    return {name.removeprefix(f"{target.name}-"): in_workspace(pattern, name, target) for name in names}


def made_by(run: str, target: Target) -> list[Deployment]:
    """The copies that a run of tests deployed on its target, or began to, and that are not kept for a later run."""
    mine = [mark.parent for mark in sorted(paths.STATE.glob("*/*/run")) if mark.read_text() == run]
    made = [in_workspace(state.parent.name, state.name, target) for state in mine]
    return [copy for copy in made if not copy.is_kept]


def in_workspace(pattern: str, workspace: str, target: Target) -> Deployment:
    """The copy whose state a workspace holds; with its variables, if it was kept."""
    copy, file = workspace.removeprefix(target.name).removeprefix("-"), _kept_file(pattern, workspace)
    variables = json.loads(file.read_text()) if file.exists() else {}
    return Deployment(pattern, target, f"{copy}-{pattern}" if copy else pattern, variables)


def kept(pattern: str, target: Target) -> list[Deployment]:
    """A pattern's copies that were kept for a later run, with their variables."""
    return [copy for copy in copies(pattern, target).values() if copy.is_kept]


def _kept_file(pattern: str, workspace: str) -> Path:
    """Beside the state of a copy that stays for a later run: its variables."""
    return _beside_state(pattern, workspace, "kept")


def _beside_state(pattern: str, workspace: str, name: str) -> Path:
    return paths.STATE / pattern / workspace / name


def leftovers(target: Target, name: str) -> Iterator[str]:
    """Everything on the target that is named or tagged after the deployment `name`, as `kind name`."""
    named = re.compile(rf"(^|[/:]){re.escape(name)}($|[-/:.])")

    def listed(service: str, operation: str, key: str, field: str | None = None, **arguments: Any) -> Iterator[str]:
        client = target.client(service)
        for page in client.get_paginator(operation).paginate(**arguments):
            for item in page.get(key, []):
                yield item if field is None else item[field]

    kinds = {
        "queue": listed("sqs", "list_queues", "QueueUrls"),
        "topic": listed("sns", "list_topics", "Topics", "TopicArn"),
        "subscription": listed("sns", "list_subscriptions", "Subscriptions", "TopicArn"),
        "function": listed("lambda", "list_functions", "Functions", "FunctionName"),
        "layer": listed("lambda", "list_layers", "Layers", "LayerName"),
        "event source mapping": listed("lambda", "list_event_source_mappings", "EventSourceMappings", "FunctionArn"),
        "bucket": listed("s3", "list_buckets", "Buckets", "Name"),
        "state machine": listed("stepfunctions", "list_state_machines", "stateMachines", "stateMachineArn"),
        # by its prefix, because this operation has no paginator
        "event bus": (bus["Name"] for bus in target.client("events").list_event_buses(NamePrefix=name)["EventBuses"]),
        "table": listed("dynamodb", "list_tables", "TableNames"),
        "role": listed("iam", "list_roles", "Roles", "RoleName"),
        "alarm": listed("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        "dashboard": listed("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        "log group": listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "parameter": listed("ssm", "describe_parameters", "Parameters", "Name"),
        "tagged": listed(
            "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", "ResourceARN",
            TagFilters=[{"Key": "deployment", "Values": [name]}],
        ),
    }  # fmt: skip
    for kind, resources in kinds.items():
        for resource in resources:
            if kind == "tagged" or named.search(resource):
                yield f"{kind} {resource}"

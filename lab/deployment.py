"""A deployed copy of a pattern: apply it, read its outputs, destroy it, and prove that nothing is left."""

import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
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
LOOK_AGAIN_SECONDS = 0.5  # on the local target

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
            return self.target.workspace
        return f"{self.target.workspace}-{self.name.removesuffix(f'-{self.pattern}')}"

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
        """Terraform's outputs. Raises LabError when the copy is not deployed, or elsewhere."""
        self.refuse_elsewhere()
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
        return answer(function, self.target.invoker().invoke(FunctionName=name, Payload=content))

    def alarms(self) -> set[str]:
        """Its alarms, by their names without the deployment's."""
        pages = self.target.client("cloudwatch").get_paginator("describe_alarms")
        found = [alarm for page in pages.paginate(AlarmNamePrefix=f"{self.name}-") for alarm in page["MetricAlarms"]]
        return {alarm["AlarmName"].removeprefix(f"{self.name}-") for alarm in found}

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
        self.refuse_elsewhere()
        _ = self.zips
        self.terraform.init()
        if self.target.name == "aws":
            self._place.parent.mkdir(parents=True, exist_ok=True)
            paths.write(self._place, json.dumps([self.target.identity(), self.target.region]))
        if run := os.environ.get(RUN_VARIABLE):
            paths.write(_beside_state(self.pattern, self.workspace, "run"), run)
        outcome = self.terraform.apply(self._arguments, show)
        for cached in ("outputs", "contract"):
            self.__dict__.pop(cached, None)
        return outcome

    def destroy(self, show: Callable[[str], None]) -> Outcome:
        """Destroys it and proves it. Raises LabError, listing what is left, when something is."""
        self.refuse_elsewhere()
        _ = self.zips  # Terraform reads their hashes, also to destroy
        self.terraform.init()
        self._note_names()
        outcome = self.terraform.destroy(self._arguments, show)
        show("looking for anything left")
        if left := self.wait_until_gone():
            listed = "\n".join(f"  {resource}" for resource in left)
            raise LabError(f"Destroyed, but this is left of {self.name} on {self.target.name}:\n{listed}")
        self.terraform.forget()
        return outcome

    def wait_until_gone(self) -> list[str]:
        """What is still there of this copy once AWS has had time to forget it: empty, if all went well."""
        patience = self.target.patience
        wait = Retrying(
            stop=stop_after_delay(GONE_WITHIN_SECONDS * patience),
            wait=wait_fixed(LOOK_AGAIN_SECONDS * patience),
            retry=retry_if_result(bool),
        )
        known = self._noted_names() if self.target.name == "aws" else None
        try:
            return list(wait(lambda: sorted(leftovers(self.target, self.name, known))))
        except RetryError as error:
            return list(error.last_attempt.result())

    def refuse_elsewhere(self) -> None:
        """Raises LabError when the copy is in another account or region of AWS than the one that is asked.

        There Terraform would find nothing of it, and forget it, or make everything once more.
        """
        if self.target.name != "aws" or not self._place.exists():
            return
        account, region = json.loads(self._place.read_text())
        asked = self.target.identity()
        if (account, region) != (asked, self.target.region):
            raise LabError(
                f"{self.name} is deployed in account {account}, region {region}, and your credentials are of account "
                f"{asked}, region {self.target.region}. Use those of account {account} (AWS_PROFILE), with "
                f"AWS_REGION={region}."
            )

    @property
    def _place(self) -> Path:
        """Beside the state from the first apply on AWS on: the account and the region that it is of."""
        return _beside_state(self.pattern, self.workspace, "place")

    def _note_names(self) -> None:
        """Notes what the copy's resources are called, before they are destroyed and the state forgets them."""
        state = _beside_state(self.pattern, self.workspace, "terraform.tfstate")
        text = state.read_text() if state.exists() else ""
        names = {value for value in re.findall(r'"([^"\\\n]+)"', text) if self.name in value}
        noted = _beside_state(self.pattern, self.workspace, "names")
        noted.parent.mkdir(parents=True, exist_ok=True)
        paths.write(noted, "\n".join(sorted(names | self._noted_names())))

    def _noted_names(self) -> set[str]:
        noted = _beside_state(self.pattern, self.workspace, "names")
        return set(noted.read_text().splitlines()) if noted.exists() else set()

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
        build_dir = os.path.relpath(paths.BUILD, self.folder)
        faults = {} if self.name == self.pattern else {"fault_injection": "true"}  # experiments need them everywhere
        return {"name": self.name, "build_dir": build_dir, **faults, **self.variables}


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


def deployed(of: str | None = None) -> Iterator[tuple[str, str]]:
    """(pattern, workspace) of every copy of which Terraform holds state, on all targets or on one (`workspace`)."""
    for state in sorted(paths.STATE.glob("*/*/terraform.tfstate")):
        workspace = state.parent.name
        if of is None or workspace == of or workspace.startswith(f"{of}-"):
            yield state.parent.parent.name, workspace


def copies(pattern: str, target: Target) -> dict[str, Deployment]:
    """A pattern's isolated copies that are deployed, by what `COPY=` calls them."""
    names = [name for of, name in deployed(target.workspace) if of == pattern and name != target.workspace]
    return {name.removeprefix(f"{target.workspace}-"): in_workspace(pattern, name, target) for name in names}


def made_by(run: str, target_of: Callable[[str], Target]) -> list[Deployment]:
    """The copies that a run of tests deployed, or began to, and that are not kept for a later run.

    `target_of` is the target on which the run deployed the copies of a pattern.
    """
    mine = [mark.parent for mark in sorted(paths.STATE.glob("*/*/run")) if mark.read_text() == run]
    made = [in_workspace(state.parent.name, state.name, target_of(state.parent.name)) for state in mine]
    return [copy for copy in made if not copy.is_kept]


def in_workspace(pattern: str, workspace: str, target: Target) -> Deployment:
    """The copy whose state a workspace holds; with its variables, if it was kept."""
    copy, file = workspace.removeprefix(target.workspace).removeprefix("-"), _kept_file(pattern, workspace)
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


@dataclass(frozen=True)
class _Kind:
    """A kind of resource: how it is listed, and what its ARN is, `arn:…:<service>:<region>:<account>:<prefix><name>`.

    Of an item that is listed, `shown` is the field that a person reads, and `named` the one that has the name in its
    ARN, where that is another; None for an item that is a text.
    """

    client: str
    operation: str
    key: str
    shown: str | None
    arn: tuple[str, str]
    named: str | None = None

    def list(self, target: Target) -> Iterator[tuple[str, str]]:
        """What is shown of each resource of the kind on the target, and its name."""
        client = target.client(self.client)
        paginates = client.can_paginate(self.operation)
        pages = (
            client.get_paginator(self.operation).paginate() if paginates else _pages(getattr(client, self.operation))
        )
        for item in (item for page in pages for item in page.get(self.key, [])):
            shown = str(item if self.shown is None else item[self.shown])
            yield shown, str(item[self.named]) if self.named else _name(shown)


def _pages(operation: Callable[..., dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pages of an operation that boto3 has no paginator for."""
    page = operation()
    yield page
    while token := page.get("NextToken"):
        page = operation(NextToken=token)
        yield page


def _name(resource: str) -> str:
    """A resource's name: the end of an ARN or a URL, or what is given."""
    if resource.startswith("arn:"):
        return resource.rpartition(":")[2]
    return resource.rpartition("/")[2] if resource.startswith("http") else resource


_KINDS = {
    "queue": _Kind("sqs", "list_queues", "QueueUrls", None, ("sqs", "")),
    "topic": _Kind("sns", "list_topics", "Topics", "TopicArn", ("sns", "")),
    "subscription": _Kind("sns", "list_subscriptions", "Subscriptions", "TopicArn", ("sns", ""), "SubscriptionArn"),
    "function": _Kind("lambda", "list_functions", "Functions", "FunctionName", ("lambda", "function:")),
    "layer": _Kind("lambda", "list_layers", "Layers", "LayerName", ("lambda", "layer:")),
    "event source mapping": _Kind(
        "lambda", "list_event_source_mappings", "EventSourceMappings", "FunctionArn",
        ("lambda", "event-source-mapping:"), "UUID",
    ),
    "bucket": _Kind("s3", "list_buckets", "Buckets", "Name", ("s3", "")),
    "state machine": _Kind(
        "stepfunctions", "list_state_machines", "stateMachines", "stateMachineArn", ("states", "stateMachine:")
    ),
    "event bus": _Kind("events", "list_event_buses", "EventBuses", "Name", ("events", "event-bus/")),
    "table": _Kind("dynamodb", "list_tables", "TableNames", None, ("dynamodb", "table/")),
    "role": _Kind("iam", "list_roles", "Roles", "RoleName", ("iam", "role/")),
    "alarm": _Kind("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName", ("cloudwatch", "alarm:")),
    "dashboard": _Kind(
        "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName", ("cloudwatch", "dashboard/")
    ),
    "log group": _Kind("logs", "describe_log_groups", "logGroups", "logGroupName", ("logs", "log-group:")),
    "parameter": _Kind("ssm", "describe_parameters", "Parameters", "Name", ("ssm", "parameter")),
}  # fmt: skip


def leftovers(target: Target, name: str, known: Collection[str] | None = None) -> Iterator[str]:
    """Everything on the target that is named or tagged after the deployment `name`, as `kind name`.

    By name counts only what is among the `known`, if they are given: in an account that is shared, a stranger's
    resources may be called alike. By tag counts only what its own service lists as well: GetResources returns what is
    "tagged or previously tagged", so also what has been deleted, for hours (how long is belief):
    https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_GetResources.html
    """
    named = re.compile(rf"(^|[/:]){re.escape(name)}($|[-/:.])")
    there: set[tuple[tuple[str, str], str]] = set()  # by kind of ARN: the names that its service lists
    for kind, how in _KINDS.items():
        for shown, last in how.list(target):
            there.add((how.arn, last))
            if named.search(shown) and (known is None or shown in known):
                yield f"{kind} {shown}"
    tags = target.client("resourcegroupstaggingapi").get_paginator("get_resources")
    for page in tags.paginate(TagFilters=[{"Key": "deployment", "Values": [name]}]):
        for resource in page["ResourceTagMappingList"]:
            arn = resource["ResourceARN"]
            service, _, _, rest = arn.split(":", 5)[2:]
            listed = [how.arn for how in _KINDS.values() if how.arn[0] == service and rest.startswith(how.arn[1])]
            # a kind of resource that no pattern has is listed by nothing here, and believed
            if not listed or any((of, rest.removeprefix(of[1]).removesuffix(":*")) in there for of in listed):
                yield f"tagged {arn}"

"""Breaks a deployment on purpose, and mends it: rules for the fault layer, and faults of the infrastructure.

Every infrastructure fault is a context manager that undoes itself, also when the block fails.
"""

import difflib
import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from tenacity import RetryError, retry_if_exception, retry_if_result

from fault_injection.rules import (
    FAULT_RULES_TTL_SECONDS,
    FAULT_RULES_TTL_SECONDS_ON_AWS,
    InvalidRule,
    Rule,
    dump,
    parse,
)
from lab import journeys
from lab.console import LabError
from lab.deployment import Deployment
from lab.targets import is_throttled

# How long a change of an event source mapping may take, on the local target. On AWS an update takes up to 90 s, and one
# that was just created minutes (STR-7): https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
SETTLE_SECONDS = 60
ACTS_WITHIN_SECONDS = 60.0  # on AWS
LOGGED_SECONDS = 40.0  # until what a function has logged can be read, on a machine that does much else


def rules(deployment: Deployment) -> list[dict[str, Any]]:
    """The fault rules in force."""
    value = deployment.target.client("ssm").get_parameter(Name=_parameter(deployment))["Parameter"]["Value"]
    return list(json.loads(value)["rules"])


def inject(deployment: Deployment, *added: dict[str, Any]) -> "Injected":
    """Puts rules (docs/faults.md has their fields) in force, beside those that are.

    They are in force when this returns; as a context manager it takes them back at the end of its block, and raises
    LabError there when one never acted, unless that rule is left to chance. Raises LabError, which names the field,
    when a rule cannot be obeyed; nothing is stored then.
    """
    identified = [{**rule, "id": secrets.token_hex(3)} for rule in added]
    try:
        for place, rule in enumerate(parse(json.dumps({"rules": identified}))):
            _check(deployment, rule, f"rules[{place}]")
        _store(deployment, [*rules(deployment), *identified])
    except InvalidRule as error:
        raise LabError(f"Invalid fault rule: {error}") from error
    return Injected(deployment, identified)


@dataclass(frozen=True)
class Injected(AbstractContextManager[None]):
    """Rules that are in force until the end of a block."""

    deployment: Deployment
    rules: list[dict[str, Any]]

    def __enter__(self) -> None: ...

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        ids = {rule["id"] for rule in self.rules}
        _store(self.deployment, [rule for rule in rules(self.deployment) if rule.get("id") not in ids])
        if error_type is None:
            self._check_that_they_acted()

    def _check_that_they_acted(self) -> None:
        certain = [rule for rule in self.rules if "probability" not in rule]

        def idle() -> list[dict[str, Any]]:
            acted = times_acted(self.deployment)
            return [rule for rule in certain if not acted[rule["id"]]]

        seconds = LOGGED_SECONDS * self.deployment.target.patience
        wait = self.deployment.target.clock.retrying(
            seconds,
            self.deployment.target.between_looks(0.5),
            retry=retry_if_result(bool) | retry_if_exception(is_throttled),
        )
        try:
            if certain:
                wait(idle)
        except RetryError as error:
            missing = certain if error.last_attempt.failed else error.last_attempt.result()
            listed = "\n".join(f"  {json.dumps(rule)}" for rule in missing)
            raise LabError(
                "A fault that never acted proves nothing. The block with these rules in force is over, and "
                f'{seconds:.0f} s later no function of {self.deployment.name} has logged "fault injected" '
                f"with their ids:\n{listed}"
            ) from error


def heal(deployment: Deployment) -> list[tuple[dict[str, Any], int]]:
    """Takes all rules back, and returns each with how often it acted, once every warm function knows."""
    healed = rules(deployment)
    if not healed:
        return []
    _store(deployment, [])
    acted = times_acted(deployment)
    return [(rule, acted[str(rule.get("id"))]) for rule in healed]


def times_acted(deployment: Deployment) -> Counter[str]:
    """How often each rule, by its id, has acted, as far as the functions' logs show it by now."""
    hops = journeys.logged(deployment, pattern='{ $.message = "fault injected" }')
    # once more here: some emulators ignore a filter pattern
    return Counter(str(hop.line.get("rule_id")) for hop in hops if hop.line.get("message") == "fault injected")


def _store(deployment: Deployment, wanted: list[dict[str, Any]]) -> None:
    """Replaces the rules, and returns once no function can still act on the old ones. Raises InvalidRule."""
    value = dump(parse(json.dumps({"rules": wanted})))
    deployment.target.client("ssm").put_parameter(Name=_parameter(deployment), Value=value, Overwrite=True)
    # A function re-reads the rules when its copy is this old; nothing outside it can see when it did.
    on_aws = deployment.target.name == "aws"
    deployment.target.clock.sleep(FAULT_RULES_TTL_SECONDS_ON_AWS if on_aws else FAULT_RULES_TTL_SECONDS)


def _check(deployment: Deployment, rule: Rule, where: str) -> None:
    """Raises InvalidRule when a rule names a function, service or operation that there is not: it could never act."""
    functions = deployment.contract.functions
    if rule.function not in functions:
        known = ", ".join(functions)
        raise InvalidRule(
            f"{where}.function: {rule.function!r} is no function of {deployment.pattern}, which has {known}"
        )
    if rule.call is None:
        return
    service, operation = rule.call
    session = botocore.session.get_session()
    services = session.get_available_services()
    if service not in services:
        field = "service" if rule.mode == "dependency" else "at"
        raise InvalidRule(f"{where}.{field}: boto3 has no service {service!r}. {_nearest(service, services)}")
    operations = session.get_service_model(service).operation_names
    if operation is not None and operation not in operations:
        field = "operation" if rule.mode == "dependency" else "at"
        raise InvalidRule(
            f"{where}.{field}: {service} has no operation {operation!r}. {_nearest(operation, operations)}"
        )


def _nearest(name: str, known: list[str]) -> str:
    """A sentence that says how many names there are, and which of them are most like this one."""
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.3)
    return f"There are {len(known)}{(near and f', such as {", ".join(near)}') or ''}"


@contextmanager
def paused(deployment: Deployment, mapping: str) -> Iterator[None]:
    """A consumer that is down: its event source mapping (a UUID) is disabled for the length of a block."""
    try:
        _switch(deployment, mapping, False)  # which may take too long: it is enabled again then, too
        yield
    finally:
        _switch(deployment, mapping, True)


@contextmanager
def throttled(deployment: Deployment, function: str, concurrency: int = 0) -> Iterator[None]:
    """A function throttled by its reserved concurrency for the length of a block."""
    client = deployment.target.client("lambda")
    client.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=concurrency)
    try:
        yield
    finally:
        client.delete_function_concurrency(FunctionName=function)


@contextmanager
def function_changed(deployment: Deployment, function: str, **configuration: Any) -> Iterator[None]:
    """A function with another configuration (UpdateFunctionConfiguration's) for the length of a block.

    Variables are added to the ones it has; one whose value is None is removed.
    """
    client = deployment.target.client("lambda")
    before = client.get_function_configuration(FunctionName=function)
    old = {name: before[name] for name in configuration}
    if "Environment" in configuration:
        variables = before["Environment"]["Variables"] | configuration["Environment"]["Variables"]
        kept = {name: value for name, value in variables.items() if value is not None}
        configuration["Environment"] = {"Variables": kept}
        old["Environment"] = {"Variables": before["Environment"]["Variables"]}
    _configure(deployment, function, configuration)
    try:
        yield
    finally:
        _configure(deployment, function, old)


@contextmanager
def mapping_changed(deployment: Deployment, mapping: str, **settings: Any) -> Iterator[None]:
    """An event source mapping (a UUID) with other settings (UpdateEventSourceMapping's) for the length of a block."""
    before = deployment.target.client("lambda").get_event_source_mapping(UUID=mapping)
    try:
        _update_mapping(deployment, mapping, **settings)
        yield
    finally:
        _update_mapping(deployment, mapping, **{name: before[name] for name in settings})


@contextmanager
def partial_responses_off(deployment: Deployment, mapping: str, function: str) -> Iterator[None]:
    """A mapping without ReportBatchItemFailures, and its function told so, as modules/function can deploy both."""
    told = {"Variables": {"REPORT_BATCH_ITEM_FAILURES": "false"}}
    with (
        function_changed(deployment, function, Environment=told),
        mapping_changed(deployment, mapping, FunctionResponseTypes=[]),
    ):
        yield


@contextmanager
def visibility_timeout(deployment: Deployment, queue_url: str, seconds: int) -> Iterator[None]:
    """A queue with another visibility timeout for the length of a block; on AWS this takes up to 60 s to settle.

    SQS takes any, also one shorter than the timeout of the function that consumes the queue: only creating or updating
    the mapping checks it (SQS-6).
    """
    sqs = deployment.target.client("sqs")
    named = {"QueueUrl": queue_url}
    before = sqs.get_queue_attributes(**named, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(**named, Attributes={"VisibilityTimeout": str(seconds)})
    try:
        _until_it_acts(deployment)
        yield
    finally:
        sqs.set_queue_attributes(**named, Attributes=before)


@contextmanager
def time_to_live_off(deployment: Deployment, table: str, attribute: str) -> Iterator[None]:
    """A table that keeps its expired items for the length of a block.

    Does nothing on AWS: it deletes them only days later, and takes one change of this setting an hour.
    """
    if deployment.target.endpoint is None:
        yield
        return
    dynamodb = deployment.target.client("dynamodb")

    def switch(on: bool) -> None:
        setting = {"Enabled": on, "AttributeName": attribute}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=setting)

    switch(False)
    try:
        yield
    finally:
        switch(True)


@contextmanager
def queue_policy_revoked(deployment: Deployment, queue_url: str) -> Iterator[None]:
    """A queue to which nobody may send for the length of a block."""
    sqs = deployment.target.client("sqs")
    policy = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": ""})
    try:
        _until_it_acts(deployment)
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})


@contextmanager
def queue_deleted(deployment: Deployment, queue_url: str) -> Iterator[None]:
    """A queue that is gone for the length of a block, with every message in it; afterwards it exists again, empty.

    On AWS this takes up to 60 s to settle: until then the queue may take messages, which are lost with it.
    """
    sqs = deployment.target.client("sqs")
    kept = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    tags = sqs.list_queue_tags(QueueUrl=queue_url).get("Tags", {})
    settable = {name: value for name, value in kept.items() if name in _SETTABLE}
    sqs.delete_queue(QueueUrl=queue_url)
    try:
        _until_it_acts(deployment)
        yield
    finally:
        create = deployment.target.clock.retrying(  # AWS refuses the name of a deleted queue for 60 s (API_DeleteQueue)
            70,
            2,
            retry=retry_if_exception(lambda error: "QueueDeletedRecently" in str(error)),
            reraise=True,
        )
        create(sqs.create_queue, QueueName=queue_url.rsplit("/", 1)[1], Attributes=settable, tags=tags)


@contextmanager
def no_dead_letter_queue(deployment: Deployment, subscription: str) -> Iterator[None]:
    """An SNS subscription without its dead-letter queue for the length of a block."""
    sns = deployment.target.client("sns")
    attributes = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]

    named = {"SubscriptionArn": subscription, "AttributeName": "RedrivePolicy"}
    sns.set_subscription_attributes(**named)  # no value removes it; SNS refuses an empty one
    try:
        yield
    finally:
        sns.set_subscription_attributes(**named, AttributeValue=attributes["RedrivePolicy"])


@contextmanager
def topic_deleted(deployment: Deployment, topic_arn: str) -> Iterator[None]:
    """An SNS topic without subscriptions that is gone for the length of a block."""
    sns = deployment.target.client("sns")
    kept = sns.get_topic_attributes(TopicArn=topic_arn)["Attributes"]
    tags = sns.list_tags_for_resource(ResourceArn=topic_arn)["Tags"]
    settable = {name: kept[name] for name in ("Policy", "KmsMasterKeyId") if kept.get(name)}
    sns.delete_topic(TopicArn=topic_arn)
    try:
        yield
    finally:
        sns.create_topic(Name=topic_arn.rpartition(":")[2], Attributes=settable, Tags=tags)


@contextmanager
def definition_changed(
    deployment: Deployment, state_machine_arn: str, change: Callable[[dict[str, Any]], None]
) -> Iterator[None]:
    """A state machine whose definition, decoded, `change` has edited, for executions that start within the block."""
    client = deployment.target.client("stepfunctions")
    before = client.describe_state_machine(stateMachineArn=state_machine_arn)["definition"]
    definition = json.loads(before)
    change(definition)
    client.update_state_machine(stateMachineArn=state_machine_arn, definition=json.dumps(definition))
    try:
        _until_it_acts(deployment)
        yield
    finally:
        client.update_state_machine(stateMachineArn=state_machine_arn, definition=before)


def redrive(deployment: Deployment, dead_letter_queue_arn: str, show: Callable[[str], None] = lambda _: None) -> int:
    """Moves a dead-letter queue's messages back to where they came from; returns how many were moved.

    It waits while they are moved, however long: AWS moves at most 500 a second (SQS-14). `show` is called with a line
    of progress. Raises LabError when the move fails.
    """
    sqs = deployment.target.client("sqs")
    sqs.start_message_move_task(SourceArn=dead_letter_queue_arn)

    def moving() -> dict[str, Any]:
        task: dict[str, Any] = sqs.list_message_move_tasks(SourceArn=dead_letter_queue_arn)["Results"][0]
        moved, of = (task.get(f"ApproximateNumberOfMessages{name}", 0) for name in ("Moved", "ToMove"))
        show(f"{moved} of about {of} moved")
        return task

    target = deployment.target
    running = retry_if_result(lambda task: task["Status"] == "RUNNING")
    task = target.clock.retrying(float("inf"), target.between_looks(0.2), retry=running)(moving)
    if task["Status"] != "COMPLETED":
        raise LabError(f"The redrive of {dead_letter_queue_arn} is {task['Status']}: {task.get('FailureReason', '')}")
    return int(task["ApproximateNumberOfMessagesMoved"])


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
_SETTABLE = {
    "DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod", "Policy", "ReceiveMessageWaitTimeSeconds",
    "VisibilityTimeout", "RedrivePolicy", "RedriveAllowPolicy", "SqsManagedSseEnabled",
}  # fmt: skip


def _switch(deployment: Deployment, mapping: str, enabled: bool) -> None:
    _update_mapping(deployment, mapping, "Enabled" if enabled else "Disabled", Enabled=enabled)


def _update_mapping(deployment: Deployment, mapping: str, state: str = "Enabled", **settings: Any) -> None:
    """Updates an event source mapping, and waits until it is in that state again. Raises LabError when that takes long.

    One that is being created or updated takes no change (ResourceInUseException), so that it is tried again.
    """
    client, seconds = deployment.target.client("lambda"), SETTLE_SECONDS * deployment.target.patience
    patient = deployment.target.clock.retrying(
        seconds,
        deployment.target.between_looks(0.2),
        retry=retry_if_result(lambda seen: seen != state)
        | retry_if_exception(lambda error: _code(error) == "ResourceInUseException"),
    )
    try:
        patient(lambda: client.update_event_source_mapping(UUID=mapping, **settings) and state)
        patient(lambda: client.get_event_source_mapping(UUID=mapping)["State"])
    except RetryError as error:
        now = client.get_event_source_mapping(UUID=mapping)["State"]
        raise LabError(
            f"{seconds:.0f} s after it was changed, the event source mapping {mapping} is {now}, not {state}."
        ) from error


def _code(error: BaseException) -> str | None:
    """The code with which AWS refused a call, if it did."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None


def _until_it_acts(deployment: Deployment) -> None:
    """Waits as long as AWS may take to act on a change that nothing there tells the end of: 60 s for a queue's
    attributes and for its deletion, and seconds for a state machine's definition.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_UpdateStateMachine.html
    """
    if deployment.target.name == "aws":
        deployment.target.clock.sleep(ACTS_WITHIN_SECONDS)


def _configure(deployment: Deployment, function: str, configuration: dict[str, Any]) -> None:
    client = deployment.target.client("lambda")
    client.update_function_configuration(FunctionName=function, **configuration)
    client.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})


def _parameter(deployment: Deployment) -> str:
    name = deployment.contract.faults_parameter
    if not name:
        raise LabError(
            f"{deployment.name} was deployed with fault_injection = false: it has no fault rules. "
            f"To have them: TF_VAR_fault_injection=true make apply PATTERN={deployment.pattern}"
        )
    return name

"""Faults of the infrastructure, which undo themselves: what is changed, and what is there again afterwards."""

import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from lab import faults
from lab.console import LabError
from lab.deployment import Deployment
from lab.targets import Target

ROLE = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    target = Target("endpoint", "moto", None, "us-east-1", "test")
    with mock_aws():
        yield Deployment("queue-buffer", target, "queue-buffer")


@pytest.fixture
def function(deployment: Deployment) -> str:
    """The name of a function with a timeout of 2 s and two variables."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("app.py", "def handler(event, context): ...")
    role = deployment.target.client("iam").create_role(RoleName="warehouse", AssumeRolePolicyDocument=ROLE)
    deployment.target.client("lambda").create_function(
        FunctionName="warehouse", Runtime="python3.13", Handler="app.handler", Timeout=2, Role=role["Role"]["Arn"],
        Code={"ZipFile": archive.getvalue()}, Environment={"Variables": {"TABLE_NAME": "t", "BACKOFF": "60"}},
    )  # fmt: skip
    return "warehouse"


def configuration(deployment: Deployment, function: str) -> dict[str, Any]:
    got = deployment.target.client("lambda").get_function_configuration(FunctionName=function)
    return {"Timeout": got["Timeout"], **got["Environment"]["Variables"]}


def test_a_functions_configuration_is_changed_and_comes_back_also_after_an_error(
    deployment: Deployment, function: str
) -> None:
    before = configuration(deployment, function)

    variables = {"Variables": {"BACKOFF": None, "MORE": "1"}}
    with pytest.raises(RuntimeError), faults.function_changed(deployment, function, Timeout=5, Environment=variables):
        assert configuration(deployment, function) == {"Timeout": 5, "TABLE_NAME": "t", "MORE": "1"}
        raise RuntimeError

    assert configuration(deployment, function) == before


def test_a_mappings_settings_are_changed_and_come_back_also_after_an_error(
    deployment: Deployment, function: str
) -> None:
    client = deployment.target.client("lambda")
    queue = deployment.target.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{queue.rsplit('/', 1)[1]}"
    mapping = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=function, BatchSize=10)["UUID"]

    def batch_size() -> int:
        return int(client.get_event_source_mapping(UUID=mapping)["BatchSize"])

    with pytest.raises(RuntimeError), faults.mapping_changed(deployment, mapping, BatchSize=1):
        assert batch_size() == 1
        raise RuntimeError

    assert batch_size() == 10


class Mapping:
    """A Lambda client with one event source mapping, whose changes take as many looks as told, or for ever."""

    def __init__(self, looks: float) -> None:
        self.looks, self.left = looks, 0.0
        self.wanted: list[bool] = []

    def update_event_source_mapping(self, *, UUID: str, Enabled: bool) -> dict[str, Any]:
        if self.wanted and self.left > 0 and self.left != float("inf"):
            raise ClientError({"Error": {"Code": "ResourceInUseException", "Message": "in use"}}, "Update")
        self.wanted.append(Enabled)
        self.left = self.looks
        return {"UUID": UUID}

    def get_event_source_mapping(self, *, UUID: str) -> dict[str, Any]:
        self.left -= 1
        goal = "abled"
        state = f"{'En' if self.wanted[-1] else 'Dis'}{goal if self.left < 0 else goal.removesuffix('ed') + 'ing'}"
        return {"State": state}


@pytest.mark.parametrize("name", ["local", "aws"])
def test_a_mapping_that_does_not_settle_is_enabled_again_and_said_in_a_sentence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Mapping(float("inf"))
    monkeypatch.setattr(Target, "client", lambda *_, **__: client)
    monkeypatch.setattr(faults, "SETTLE_SECONDS", 0)

    down = faults.paused(Deployment("fanout", Target(name, "", None, "us-east-1"), "fanout"), "m-1")
    with pytest.raises(LabError, match=r"the event source mapping m-1 is Enabling, not Enabled\.$"), down:
        raise AssertionError("it is not down yet")

    assert client.wanted == [False, True]


def test_on_aws_a_mapping_has_minutes_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to 90 s, and one that was just created takes no change for minutes (STR-7)."""
    clock = [0.0]
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    client = Mapping(40)
    monkeypatch.setattr(Target, "client", lambda *_, **__: client)

    with faults.paused(Deployment("fanout", Target("aws", "", None, "us-east-1"), "fanout"), "m-1"):
        assert client.wanted == [False]

    assert client.wanted == [False, True]
    assert clock[0] > 90


@pytest.mark.parametrize(("name", "waits"), [("aws", [60.0]), ("local", [])])
def test_a_change_that_aws_acts_on_later_is_waited_for(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, name: str, waits: list[float]
) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    url = deployment.target.client("sqs").create_queue(QueueName="orders")["QueueUrl"]
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    there = Deployment("fanout", Target(name, "", None, deployment.target.region, "test"), "fanout")

    with faults.visibility_timeout(there, url, 7):
        assert slept == waits
    slept.clear()
    with faults.queue_deleted(there, url):
        assert slept == waits


def test_a_large_redrive_is_waited_for_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS moves at most 500 messages a second: half a million take a quarter of an hour."""
    clock = [0.0]
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Sqs:
        def start_message_move_task(self, *, SourceArn: str) -> None: ...

        def list_message_move_tasks(self, *, SourceArn: str) -> dict[str, Any]:
            moved = min(500_000, int(clock[0] * 500))
            status = "RUNNING" if moved < 500_000 else "COMPLETED"
            numbers = {"ApproximateNumberOfMessagesMoved": moved, "ApproximateNumberOfMessagesToMove": 500_000}
            return {"Results": [{"Status": status, **numbers}]}

    monkeypatch.setattr(Target, "client", lambda *_, **__: Sqs())
    shown: list[str] = []

    moved = faults.redrive(
        Deployment("fanout", Target("aws", "", None, "us-east-1"), "fanout"), "arn:dlq", shown.append
    )

    assert moved == 500_000
    assert (shown[0], shown[-1]) == ("0 of about 500000 moved", "500000 of about 500000 moved")


@pytest.fixture
def warehouse(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """A deployment with the functions `warehouse` and `producer`, and no rules; logs that a rule acted in the first."""
    groups = {name: f"/aws/lambda/queue-buffer-{name}" for name in ("producer", "warehouse")}
    functions = {name: {"name": f"queue-buffer-{name}", "log_group": group} for name, group in groups.items()}
    outputs = {"entry": "producer", "functions": functions, "faults_parameter": "/queue-buffer/faults"}
    deployment.__dict__["outputs"] = outputs
    parameter = {"Name": "/queue-buffer/faults", "Type": "String", "Value": '{"rules": []}'}
    deployment.target.client("ssm").put_parameter(**parameter)
    logs = deployment.target.client("logs")
    for group in groups.values():
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="one")
    monkeypatch.setattr(faults, "FAULT_RULES_TTL_SECONDS", 0)
    monkeypatch.setattr(faults, "LOGGED_SECONDS", 0)  # nothing more comes

    def act(rule: dict[str, Any]) -> None:
        line = {"message": "fault injected", "rule_id": rule["id"], "mode": rule["mode"]}
        event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
        logs.put_log_events(logGroupName=groups["warehouse"], logStreamName="one", logEvents=[event])

    return act


Act = Callable[[dict[str, Any]], None]
CRASH = {"function": "warehouse", "mode": "crash", "probability": 0.1}


def without_ids(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in rule.items() if name != "id"} for rule in rules]


def test_rules_are_in_force_together_and_leave_those_that_were_there(deployment: Deployment, warehouse: Act) -> None:
    faults.inject(deployment, CRASH)
    before = faults.rules(deployment)
    more = [{"function": "warehouse", "mode": mode} for mode in ("exception", "timeout")]

    with faults.inject(deployment, *more):
        in_force = faults.rules(deployment)
        assert without_ids(in_force) == [CRASH, *more]
        assert len({rule["id"] for rule in in_force}) == 3
        for rule in in_force[1:]:
            warehouse(rule)
    assert faults.rules(deployment) == before


def test_a_fault_that_never_acted_fails_its_block_and_is_taken_back(deployment: Deployment, warehouse: Act) -> None:
    idle = {"function": "warehouse", "mode": "exception", "when": "order_id == 'o-1'"}

    block = faults.inject(deployment, {"function": "warehouse", "mode": "timeout"}, idle)
    with pytest.raises(LabError, match=r"never acted proves nothing(.|\n)*order_id == 'o-1'") as failed, block:
        warehouse(block.rules[0])

    assert "timeout" not in str(failed.value)
    assert faults.rules(deployment) == []


def test_what_acted_in_an_earlier_block_counts_for_that_one_alone(deployment: Deployment, warehouse: Act) -> None:
    rule = {"function": "warehouse", "mode": "exception"}
    with faults.inject(deployment, rule):
        warehouse(*faults.rules(deployment))

    with pytest.raises(LabError, match="never acted"), faults.inject(deployment, rule):
        pass


def test_a_rule_that_is_left_to_chance_need_not_act(deployment: Deployment, warehouse: Act) -> None:
    with faults.inject(deployment, CRASH):
        pass

    assert faults.rules(deployment) == []


def test_an_experiment_that_fails_says_its_own_error(deployment: Deployment, warehouse: Act) -> None:
    block = faults.inject(deployment, {"function": "warehouse", "mode": "exception"})
    with pytest.raises(RuntimeError, match="its own"), block:
        raise RuntimeError("its own")

    assert faults.rules(deployment) == []


def test_the_line_of_a_fault_may_come_late(
    deployment: Deployment, warehouse: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "LOGGED_SECONDS", 20)
    [rule] = faults.inject(deployment, {"function": "warehouse", "mode": "exception"}).rules
    times_acted, asked = faults.times_acted, []

    def slow(deployment: Deployment) -> Counter[str]:
        asked.append(rule["id"])
        if len(asked) == 2:
            warehouse(rule)
        return times_acted(deployment)

    monkeypatch.setattr(faults, "times_acted", slow)
    with faults.Injected(deployment, [rule]):
        pass

    assert len(asked) == 2


def test_healing_takes_every_rule_back_and_says_how_often_each_acted(deployment: Deployment, warehouse: Act) -> None:
    [often] = faults.inject(deployment, {"function": "warehouse", "mode": "exception"}).rules
    [never] = faults.inject(deployment, CRASH).rules
    for _ in range(3):
        warehouse(often)

    healed = faults.heal(deployment)

    assert [(rule["id"], times) for rule, times in healed] == [(often["id"], 3), (never["id"], 0)]
    assert faults.rules(deployment) == []
    assert faults.heal(deployment) == []


THROTTLED = {"function": "warehouse", "mode": "dependency", "error": "throttling"}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            {"function": "billing", "mode": "exception"},
            "rules[1].function: 'billing' is no function of queue-buffer, which has producer, warehouse",
        ),
        ({"function": "warehouse", "mode": "boom"}, "rules[1].mode: 'boom' is not one of exception, "),
        (
            {**THROTTLED, "service": "dynamodbb"},
            "rules[1].service: boto3 has no service 'dynamodbb'. There are ",
        ),
        (
            {**THROTTLED, "service": "dynamodb", "operation": "PutItems"},
            "rules[1].operation: dynamodb has no operation 'PutItems'. There are ",
        ),
        (
            {"function": "warehouse", "mode": "crash", "at": "dynamodb.putItem"},
            "rules[1].at: 'dynamodb.putItem' is not ",
        ),
        (
            {"function": "warehouse", "mode": "crash", "at": "dynamodb.Put"},
            "rules[1].at: dynamodb has no operation 'Put'. There are ",
        ),
        (
            {"function": "warehouse", "mode": "crash", "at": "dynamo.PutItem"},
            "rules[1].at: boto3 has no service 'dynamo'. There are ",
        ),
        (
            {"function": "warehouse", "mode": "malformed_response", "response": "x" * 5000},
            "rules: ",
        ),
    ],
)
def test_a_rule_that_can_never_act_is_refused_with_its_field_and_not_stored(
    deployment: Deployment, warehouse: Act, rule: dict[str, Any], said: str
) -> None:
    with pytest.raises(LabError) as refused:
        faults.inject(deployment, CRASH, rule)

    assert str(refused.value).startswith(f"Invalid fault rule: {said}")
    assert faults.rules(deployment) == []


def test_a_refusal_says_what_there_is(deployment: Deployment, warehouse: Act) -> None:
    with pytest.raises(LabError, match=r"There are \d{3}, such as dynamodb,"):
        faults.inject(deployment, {**THROTTLED, "service": "dynamodbb"})
    with pytest.raises(LabError, match=r"There are \d\d, such as PutItem,"):
        faults.inject(deployment, {**THROTTLED, "service": "dynamodb", "operation": "PutItems"})


@pytest.mark.parametrize("service", ["stepfunctions", "sqs", "events"])
def test_services_are_called_as_boto3_calls_them(deployment: Deployment, warehouse: Act, service: str) -> None:
    faults.inject(deployment, {**THROTTLED, "service": service})

    assert [rule["service"] for rule in faults.rules(deployment)] == [service]


def test_a_visibility_timeout_is_changed_and_comes_back(deployment: Deployment) -> None:
    sqs = deployment.target.client("sqs")
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]

    def timeout() -> str:
        got = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        return str(got["Attributes"]["VisibilityTimeout"])

    with faults.visibility_timeout(deployment, url, 3):
        assert timeout() == "3"
    assert timeout() == "60"


def test_a_topic_is_gone_and_comes_back_as_it_was(deployment: Deployment) -> None:
    sns = deployment.target.client("sns")
    key = {"KmsMasterKeyId": "alias/aws/sns"}
    arn = sns.create_topic(Name="customers", Attributes=key, Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]

    with faults.topic_deleted(deployment, arn):
        assert sns.list_topics()["Topics"] == []

    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["KmsMasterKeyId"] == "alias/aws/sns"
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_definition_is_changed_and_comes_back(deployment: Deployment) -> None:
    client = deployment.target.client("stepfunctions")
    before = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    role = "arn:aws:iam::123456789012:role/any"
    arn = client.create_state_machine(name="order", definition=before, roleArn=role)["stateMachineArn"]

    def definition() -> str:
        return str(client.describe_state_machine(stateMachineArn=arn)["definition"])

    with faults.definition_changed(deployment, arn, lambda machine: machine["States"]["A"].update(Comment="changed")):
        assert json.loads(definition())["States"]["A"]["Comment"] == "changed"
    assert definition() == before

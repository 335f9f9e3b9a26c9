"""Deployed copies: names that cannot meet, and the search for what a destroyed one left."""

import io
import json
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from moto import mock_aws

from lab import deployment, packages, paths, targets
from lab.console import LabError
from lab.deployment import Deployment, Depth, FunctionFailed, deployed, in_workspace, kept, leftovers, patterns
from lab.targets import Target
from lab.terraform import Outcome, Terraform

LOCAL = Target("local", "LocalStack", "http://127.0.0.1:1", "us-east-1", "test")
MOTO = Target("local", "moto", None, "us-east-1", "test")  # its clients take a second to make


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A target that is moto in this process, with nothing in it."""
    with mock_aws():
        yield MOTO


def code() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...\n")
    return buffer.getvalue()


def make_role(target: Target, name: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = target.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]
    return str(role["Arn"])


def make_function(target: Target, name: str) -> None:
    target.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=make_role(target, "unrelated"),
        Handler="app.handler",
        Code={"ZipFile": code()},
    )


def make_mapping(target: Target, name: str) -> None:
    make_function(target, name)
    queue = target.client("sqs").create_queue(QueueName="unrelated")["QueueUrl"]
    arn = target.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    target.client("lambda").create_event_source_mapping(FunctionName=name, EventSourceArn=arn["QueueArn"])


def make_subscription(target: Target, name: str) -> None:
    topic = target.client("sns").create_topic(Name=name)["TopicArn"]
    target.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:q")


def make_alarm(target: Target, name: str) -> None:
    target.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        MetricName="Errors",
        Namespace="AWS/Lambda",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )


def make_dashboard(target: Target, name: str) -> None:
    target.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')


def make_table(target: Target, name: str) -> None:
    key: Any = {"AttributeName": "key"}
    target.client("dynamodb").create_table(
        TableName=name, BillingMode="PAY_PER_REQUEST", KeySchema=[key | {"KeyType": "HASH"}],
        AttributeDefinitions=[key | {"AttributeType": "S"}],
    )  # fmt: skip


def make_log_group(target: Target, name: str) -> None:
    target.client("logs").create_log_group(logGroupName=f"/aws/lambda/{name}")


def make_parameter(target: Target, name: str) -> None:
    target.client("ssm").put_parameter(Name=f"/{name}/faults", Type="String", Value="{}")


def make_state_machine(target: Target, name: str) -> None:
    target.client("stepfunctions").create_state_machine(
        name=name,
        definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        roleArn=make_role(target, "other"),
    )


def make_layer(target: Target, name: str) -> None:
    target.client("lambda").publish_layer_version(LayerName=name, Content={"ZipFile": code()})


# What makes a resource of each kind with a name, and the kinds that then are left.
KINDS: dict[str, tuple[Callable[[Target, str], Any], set[str]]] = {
    "queue": (lambda target, name: target.client("sqs").create_queue(QueueName=name), {"queue"}),
    "topic": (lambda target, name: target.client("sns").create_topic(Name=name), {"topic"}),
    "subscription": (make_subscription, {"topic", "subscription"}),
    "function": (make_function, {"function"}),
    "layer": (make_layer, {"layer"}),
    "bucket": (lambda target, name: target.client("s3").create_bucket(Bucket=name), {"bucket"}),
    "state machine": (make_state_machine, {"state machine"}),
    "event bus": (lambda target, name: target.client("events").create_event_bus(Name=name), {"event bus"}),
    "table": (make_table, {"table"}),
    "mapping": (make_mapping, {"function", "event source mapping"}),
    "role": (make_role, {"role"}),
    "alarm": (make_alarm, {"alarm"}),
    "dashboard": (make_dashboard, {"dashboard"}),
    "log group": (make_log_group, {"log group"}),
    "parameter": (make_parameter, {"parameter"}),
}


def kinds_left(target: Target, name: str) -> set[str]:
    kinds = {kind for _, kinds in KINDS.values() for kind in kinds} | {"tagged"}
    return {kind for resource in leftovers(target, name) for kind in kinds if resource.startswith(f"{kind} ")}


class TestLeftovers:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_kind_is_found_by_its_name(self, moto: Target, kind: str) -> None:
        make, kinds = KINDS[kind]

        make(moto, "fanout-billing")

        assert kinds_left(moto, "fanout") == kinds

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("neighbour", ["t3fa9c1-fanout-billing", "fanout2", "fanout2-billing", "my-fanout"])
    def test_what_belongs_to_a_neighbour_is_not(self, moto: Target, kind: str, neighbour: str) -> None:
        KINDS[kind][0](moto, neighbour)

        assert list(leftovers(moto, "fanout")) == []

    def test_the_copys_own_name_is_found_beside_the_patterns(self, moto: Target) -> None:
        for name in ("fanout-billing", "t3fa9c1-fanout-billing", "fanout"):
            KINDS["queue"][0](moto, name)

        assert [resource.rsplit("/", 1)[-1] for resource in leftovers(moto, "t3fa9c1-fanout")] == [
            "t3fa9c1-fanout-billing"
        ]

    def test_what_is_tagged_is_found_whatever_its_name(self, moto: Target) -> None:
        sqs = moto.client("sqs")
        sqs.create_queue(QueueName="oddly-named", tags={"deployment": "fanout"})
        sqs.create_queue(QueueName="another", tags={"deployment": "fanout2"})

        assert list(leftovers(moto, "fanout")) == ["tagged arn:aws:sqs:us-east-1:123456789012:oddly-named"]

    def test_every_page_is_read(self, moto: Target) -> None:
        """CloudWatch lists 100 alarms a page, SSM 50 parameters at most, and by default 10."""
        for number in range(120):
            make_alarm(moto, f"other-{number:03}")
            make_parameter(moto, f"other-{number:03}")
        make_alarm(moto, "zzz-fanout")
        make_alarm(moto, "fanout-zzz")
        make_parameter(moto, "fanout")

        assert list(leftovers(moto, "fanout")) == ["alarm fanout-zzz", "parameter /fanout/faults"]

    def test_nothing(self, moto: Target) -> None:
        assert list(leftovers(moto, "fanout")) == []

    @pytest.mark.parametrize("kind", ["queue", "function", "bucket", "table", "alarm", "log group", "parameter"])
    def test_a_strangers_that_is_called_alike_is_not_where_names_are_known(self, moto: Target, kind: str) -> None:
        """An account may be shared: `fanout-billing` is anybody's name."""
        KINDS[kind][0](moto, "fanout-billing")
        [left] = leftovers(moto, "fanout")
        resource = left.removeprefix(f"{kind} ")

        assert list(leftovers(moto, "fanout", known={"fanout-ours"})) == []
        assert list(leftovers(moto, "fanout", known={resource})) == [left]


# What the tagging API says of each kind of resource that a pattern has, and of one that it has not.
ARNS = {
    "queue": "arn:aws:sqs:us-east-1:123456789012:{}",
    "topic": "arn:aws:sns:us-east-1:123456789012:{}",
    "function": "arn:aws:lambda:us-east-1:123456789012:function:{}",
    "layer": "arn:aws:lambda:us-east-1:123456789012:layer:{}",
    "bucket": "arn:aws:s3:::{}",
    "state machine": "arn:aws:states:us-east-1:123456789012:stateMachine:{}",
    "event bus": "arn:aws:events:us-east-1:123456789012:event-bus/{}",
    "table": "arn:aws:dynamodb:us-east-1:123456789012:table/{}",
    "role": "arn:aws:iam::123456789012:role/{}",
    "alarm": "arn:aws:cloudwatch:us-east-1:123456789012:alarm:{}",
    "dashboard": "arn:aws:cloudwatch::123456789012:dashboard/{}",
    "log group": "arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/{}",
    "parameter": "arn:aws:ssm:us-east-1:123456789012:parameter/{}/faults",
}


class TestWhatIsTagged:
    """GetResources returns what is "tagged or previously tagged": its own service says whether it is still there."""

    @pytest.fixture
    def tagged(self, moto: Target, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The ARNs that the tagging API returns."""
        arns: list[str] = []

        class Tagging:
            def get_paginator(self, operation: str) -> Any:
                return self

            def paginate(self, **arguments: Any) -> list[dict[str, Any]]:
                return [{"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}]

        client = Target.client

        def answering(self: Target, service: str) -> Any:
            return Tagging() if service == "resourcegroupstaggingapi" else client(self, service)

        monkeypatch.setattr(Target, "client", answering)
        return arns

    @pytest.mark.parametrize("kind", ARNS)
    def test_what_is_deleted_and_returned_still_is_not_left(self, moto: Target, tagged: list[str], kind: str) -> None:
        tagged.append(ARNS[kind].format("oddly-named"))

        assert list(leftovers(moto, "fanout")) == []

    @pytest.mark.parametrize("kind", ARNS)
    def test_what_is_there_is_left_whatever_its_name(self, moto: Target, tagged: list[str], kind: str) -> None:
        tagged.append(ARNS[kind].format("oddly-named"))
        KINDS[kind][0](moto, "oddly-named")

        assert list(leftovers(moto, "fanout")) == [f"tagged {tagged[0]}"]

    def test_a_mapping_is_told_by_its_uuid(self, moto: Target, tagged: list[str]) -> None:
        make_mapping(moto, "oddly-named")
        [mapping] = moto.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        arn = "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:{}"
        tagged += [arn.format(mapping["UUID"]), arn.format("00000000-0000-0000-0000-000000000000")]

        assert list(leftovers(moto, "fanout")) == [f"tagged {tagged[0]}"]

    def test_what_no_pattern_has_is_believed(self, moto: Target, tagged: list[str]) -> None:
        tagged.append("arn:aws:kms:us-east-1:123456789012:key/1")

        assert list(leftovers(moto, "fanout")) == [f"tagged {tagged[0]}"]


class FakeLambda:
    """A Lambda client whose one function answers as told; `invoked` is what it was called with."""

    def __init__(self, answer: Any, **more: str) -> None:
        self.response = {"Payload": io.BytesIO(json.dumps(answer).encode()), **more}
        self.invoked: list[tuple[str, Any]] = []

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:
        self.invoked.append((FunctionName, json.loads(Payload)))
        return self.response


class TestInvoke:
    @pytest.fixture(autouse=True)
    def outputs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        functions = {"producer": {"name": "fanout-producer", "log_group": "/aws/lambda/fanout-producer"}}
        monkeypatch.setattr(Deployment, "outputs", {"entry": "producer", "functions": functions})

    def answering(self, monkeypatch: pytest.MonkeyPatch, answer: Any, **more: str) -> FakeLambda:
        client = FakeLambda(answer, **more)
        monkeypatch.setattr(Target, "client", lambda *_, **__: client)
        return client

    @pytest.mark.parametrize(("payload", "sent"), [(None, {}), ({"orders": []}, {"orders": []}), ([], []), (0, 0)])
    def test_a_function_is_invoked_by_its_short_name_and_its_answer_decoded(
        self, monkeypatch: pytest.MonkeyPatch, payload: Any, sent: Any
    ) -> None:
        client = self.answering(monkeypatch, {"published": [1]})

        assert Deployment.of("fanout", LOCAL).invoke("producer", payload) == {"published": [1]}
        assert client.invoked == [("fanout-producer", sent)]

    def test_a_long_one_is_waited_for_and_asked_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The verifier may run 900 s; a client that gave up after 60 s would start another beside it."""
        asked: list[Any] = []

        def fails(self: Any, request: Any) -> None:
            asked.append(request)
            raise botocore.exceptions.ReadTimeoutError(endpoint_url=request.url)

        monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", fails)
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            Deployment.of("fanout", Target("aws", "AWS", None, "eu-west-1", "test")).invoke("producer")

        assert len(asked) == 1

    def test_a_connection_that_says_nothing_for_long_is_kept_alive(self) -> None:
        client = Target("aws", "AWS", None, "eu-west-1", "test").invoker()
        pool = client._endpoint.http_session._manager.connection_from_url("https://lambda.eu-west-1.amazonaws.com")
        options = {(level, name): value for level, name, value in pool.conn_kw["socket_options"]}

        assert client.meta.config.read_timeout > 900
        assert options[socket.SOL_SOCKET, socket.SO_KEEPALIVE] == 1
        assert options[socket.IPPROTO_TCP, targets.KEEPALIVE_AFTER] == 60

    @pytest.mark.parametrize("kind", ["Unhandled", "Handled"])
    def test_a_function_that_fails(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        self.answering(monkeypatch, {"errorType": "ValueError", "errorMessage": "no [topic]"}, FunctionError=kind)

        with pytest.raises(FunctionFailed) as failed:
            Deployment.of("fanout", LOCAL).invoke("producer")

        assert str(failed.value) == (
            'The function producer failed: {"errorType": "ValueError", "errorMessage": "no [topic]"}'
        )
        assert failed.value.answer["errorType"] == "ValueError"

    def test_a_function_that_does_not_exist(self) -> None:
        with pytest.raises(LabError, match=r"^The pattern fanout has no function 'nosuch'. There are: producer\.$"):
            Deployment.of("fanout", LOCAL).invoke("nosuch")


def test_a_service_has_one_client_for_all_threads_and_another_for_other_settings() -> None:
    target = Target("local", "LocalStack", "http://127.0.0.1:1", "us-east-1", "test")

    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(target.client, ["sqs"] * 8))

    assert len(set(map(id, clients))) == 1
    assert target.client("sqs", read_timeout=1) is not clients[0]
    assert target.client("sqs") is clients[0]


def test_the_depth_of_a_queue(moto: Target) -> None:
    sqs = moto.client("sqs")
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    for delay in (0, 0, 0, 0, 300, 300, 300):
        sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=delay)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)

    depth = Deployment.of("fanout", moto).depth(url)

    assert depth == Depth(waiting=3, in_flight=1, delayed=3)
    assert depth.total == 7


@pytest.mark.parametrize(("name", "patience"), [("local", 1), ("endpoint", 5), ("aws", 5)])
def test_other_targets_are_given_more_time_than_the_local_one(name: str, patience: int) -> None:
    assert Target(name, "", None, "us-east-1").patience == patience


class TestDestroy:
    @pytest.fixture(autouse=True)
    def no_terraform(self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path) -> None:
        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Terraform, "destroy", lambda self, variables, show: Outcome())

    def test_what_is_left_is_listed_and_not_forgotten(
        self, moto: Target, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deployment, "GONE_WITHIN_SECONDS", 0)
        state = lab_dir / "state/fanout/local/terraform.tfstate"
        state.parent.mkdir(parents=True)
        state.touch()
        make_log_group(moto, "fanout-billing")
        make_alarm(moto, "fanout-billing-errors")

        with pytest.raises(LabError) as failed:
            Deployment.of("fanout", moto).destroy(lambda line: None)

        assert str(failed.value).splitlines() == [
            "Destroyed, but this is left of fanout on local:",
            "  alarm fanout-billing-errors",
            "  log group /aws/lambda/fanout-billing",
        ]
        assert state.exists()

    def test_what_is_gone_is_forgotten(self, moto: Target, lab_dir: Path) -> None:
        state = lab_dir / "state/fanout/local/terraform.tfstate"
        state.parent.mkdir(parents=True)
        state.touch()

        Deployment.of("fanout", moto).destroy(lambda line: None)

        assert not state.parent.exists()

    def test_aws_has_time_to_forget(self, moto: Target, monkeypatch: pytest.MonkeyPatch) -> None:
        """A deleted queue is listed for up to a minute."""
        answers = iter([["queue fanout-billing"], ["queue fanout-billing"], []])
        monkeypatch.setattr(deployment, "leftovers", lambda *_: next(answers))

        assert Deployment.of("fanout", moto).wait_until_gone() == []

    def test_on_aws_a_strangers_is_not_left_and_the_copys_own_is_also_the_second_time(
        self, moto: Target, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deployment, "GONE_WITHIN_SECONDS", 0)
        copy = Deployment.of("fanout", Target("aws", "moto", None, "us-east-1", "test"))
        state = lab_dir / "state/fanout/aws/terraform.tfstate"
        state.parent.mkdir(parents=True)
        state.write_text(
            json.dumps({"resources": [{"instances": [{"attributes": {"name": "fanout-billing-errors"}}]}]})
        )
        make_alarm(moto, "fanout-billing-errors")
        make_alarm(moto, "fanout-of-a-stranger")

        for _ in range(2):
            with pytest.raises(LabError) as failed:
                copy.destroy(lambda line: None)
            assert str(failed.value).splitlines()[1:] == ["  alarm fanout-billing-errors"]
            state.write_text('{"resources": []}')  # as Terraform leaves it

        moto.client("cloudwatch").delete_alarms(AlarmNames=["fanout-billing-errors"])
        copy.destroy(lambda line: None)
        assert not state.parent.exists()


class TestElsewhere:
    """A copy on AWS is of one account and one region: with others, Terraform would find nothing of it."""

    @pytest.fixture(autouse=True)
    def no_terraform(self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path) -> None:
        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Target, "identity", lambda self: self.version)

    @pytest.fixture
    def ran(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What Terraform was run for."""
        ran: list[str] = []

        def runs(name: str, answer: Any) -> Any:
            ran.append(name)
            return answer

        for name in ("apply", "destroy"):
            monkeypatch.setattr(Terraform, name, lambda *_, name=name: runs(name, Outcome()))
        monkeypatch.setattr(Terraform, "outputs", lambda self: runs("outputs", {"entry": "producer"}))
        monkeypatch.setattr(deployment, "leftovers", lambda *_: [])
        return ran

    def at(self, account: str, region: str, name: str = "aws") -> Deployment:
        return Deployment.of("fanout", Target(name, account, None, region, "test"))

    @pytest.mark.parametrize(("account", "region"), [("222222222222", "eu-west-1"), ("111111111111", "us-east-1")])
    @pytest.mark.parametrize("command", ["apply", "destroy", "outputs"])
    def test_nothing_is_done_with_another_account_or_region(
        self, lab_dir: Path, ran: list[str], command: str, account: str, region: str
    ) -> None:
        self.at("111111111111", "eu-west-1").apply(print)
        ran.clear()
        other = self.at(account, region)

        with pytest.raises(LabError) as refused:
            _ = other.outputs if command == "outputs" else getattr(other, command)(print)

        assert str(refused.value) == (
            f"fanout is deployed in account 111111111111, region eu-west-1, and your credentials are of account "
            f"{account}, region {region}. Use those of account 111111111111 (AWS_PROFILE), with AWS_REGION=eu-west-1."
        )
        assert ran == []

    def test_what_was_destroyed_may_be_deployed_elsewhere(self, lab_dir: Path, ran: list[str]) -> None:
        self.at("111111111111", "eu-west-1").apply(print)
        assert self.at("111111111111", "eu-west-1").outputs == {"entry": "producer"}
        self.at("111111111111", "eu-west-1").destroy(print)
        self.at("222222222222", "us-east-1").apply(print)

        assert ran == ["apply", "outputs", "destroy", "apply"]

    def test_an_apply_that_fails_has_noted_where_it_began(
        self, lab_dir: Path, ran: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fails(*_: Any) -> Outcome:
            raise LabError("half done")

        monkeypatch.setattr(Terraform, "apply", fails)
        with pytest.raises(LabError, match="half done"):
            self.at("111111111111", "eu-west-1").apply(print)
        with pytest.raises(LabError, match="is deployed in account 111111111111"):
            self.at("222222222222", "eu-west-1").destroy(print)

    def test_the_local_target_has_no_account(self, lab_dir: Path, ran: list[str]) -> None:
        self.at("000000000000", "us-east-1", "local").apply(print)
        self.at("000000000000", "eu-west-1", "local").destroy(print)

        assert ran == ["apply", "destroy"]


class TestFaultInjection:
    """Whoever may write the parameter of the rules can break the functions: on AWS it is off unless asked for."""

    def variables(self, name: str, target: Target, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
        """What Terraform is given as variables, in its environment and as arguments."""
        given: dict[str, str] = {}

        def apply(self: Terraform, arguments: dict[str, str], show: Any) -> Outcome:
            named = {key.removeprefix("TF_VAR_"): value for key, value in self.environment.items() if "TF_VAR_" in key}
            given.update(named | arguments)
            return Outcome()

        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Target, "identity", lambda self: "111111111111")
        monkeypatch.setattr(Terraform, "apply", apply)
        Deployment("fanout", target, name).apply(print)
        return given

    @pytest.mark.parametrize(
        ("target", "name", "asked", "given"),
        [
            ("aws", "fanout", "", "false"),
            ("aws", "fanout", "true", "true"),
            ("aws", "t3fa9c1-fanout", "", "true"),
            ("local", "fanout", "", None),
            ("local", "fanout", "false", "false"),
        ],
    )
    def test_where_it_is_on(
        self, lab_dir: Path, monkeypatch: pytest.MonkeyPatch, target: str, name: str, asked: str, given: str | None
    ) -> None:
        monkeypatch.delenv("TF_VAR_fault_injection", raising=False)
        if asked:
            monkeypatch.setenv("TF_VAR_fault_injection", asked)

        variables = self.variables(name, Target(target, "", None, "eu-west-1"), monkeypatch)

        assert variables.get("fault_injection") == given


class TestNames:
    def test_the_patterns_own_copy(self) -> None:
        copy = Deployment.of("fanout", LOCAL)

        assert (copy.name, copy.workspace) == ("fanout", "local")

    def test_isolated_copies_share_no_name_and_no_workspace(self) -> None:
        copies = [Deployment.isolated("fanout", LOCAL, {}) for _ in range(50)]

        assert len({copy.name for copy in copies}) == len({copy.workspace for copy in copies}) == 50
        for copy in copies:
            assert copy.name.endswith("-fanout")
            assert copy.workspace == f"local-{copy.name.removesuffix('-fanout')}"

    def test_a_workspace_leads_back_to_its_copy(self) -> None:
        for copy in (Deployment.of("fanout", LOCAL), Deployment.isolated("fanout", LOCAL, {})):
            assert in_workspace("fanout", copy.workspace, LOCAL) == copy

    def test_a_copy_that_is_kept_is_found_again_with_its_variables(self, lab_dir: Path) -> None:
        copies = [Deployment.isolated("fanout", LOCAL, {"max_receive_count": str(n)}) for n in range(2)]
        others = [
            Deployment.isolated("s3-trigger", LOCAL, {}),
            Deployment("fanout", Target("endpoint", "", None, "us-east-1"), "t-fanout"),
        ]
        for copy in [*copies, *others]:
            (lab_dir / "state" / copy.pattern / copy.workspace).mkdir(parents=True)
            (lab_dir / "state" / copy.pattern / copy.workspace / "terraform.tfstate").touch()
        assert kept("fanout", LOCAL) == []

        for copy in [copies[1], *others]:
            copy.keep()

        assert kept("fanout", LOCAL) == [copies[1]]
        assert [copy.is_kept for copy in copies] == [False, True]
        assert in_workspace("fanout", copies[1].workspace, LOCAL).variables == {"max_receive_count": "1"}

    def test_terraform_gets_the_name_and_where_the_zips_are(self, lab_dir: Path, monkeypatch: Any) -> None:
        given: list[dict[str, str]] = []

        def apply(self: Terraform, variables: dict[str, str], show: Callable[[str], None]) -> Outcome:
            given.append(variables)
            return Outcome()

        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Terraform, "apply", apply)
        copy = Deployment("fanout", LOCAL, "t3fa9c1-fanout", {"max_receive_count": "2"})

        copy.apply(lambda line: None)

        (variables,) = given
        assert (copy.folder / variables.pop("build_dir")).resolve() == paths.BUILD
        assert variables == {"name": "t3fa9c1-fanout", "fault_injection": "true", "max_receive_count": "2"}

    def test_the_contract_is_read_once_and_again_after_an_apply(
        self, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read: list[str] = []

        def outputs(self: Terraform) -> dict[str, Any]:
            read.append("outputs")
            name = f"producer-{len(read)}"
            return {"entry": name, "functions": {name: {"name": f"fanout-{name}", "log_group": "/fanout"}}}

        monkeypatch.setattr(packages, "build", lambda pattern: [])
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Terraform, "apply", lambda self, variables, show: Outcome())
        monkeypatch.setattr(Terraform, "outputs", outputs)
        copy = Deployment.of("fanout", LOCAL)

        assert [copy.contract.entry, copy.contract.entry] == ["producer-1", "producer-1"]
        copy.apply(lambda line: None)
        assert copy.contract.entry == copy.outputs["entry"] == "producer-2"

    def test_outputs_that_break_the_contract(self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path) -> None:
        monkeypatch.setattr(Terraform, "outputs", lambda self: {"entry": "producer"})

        with pytest.raises(LabError, match=r"^The outputs of the pattern fanout break the contract .*\n  functions: "):
            _ = Deployment.of("fanout", LOCAL).contract

    def test_the_zips_are_built_once_for_all_that_is_done_with_a_copy(
        self, lab_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        built: list[str] = []

        def build(pattern: str) -> list[Path]:
            built.append(pattern)
            return [Path("a.zip")]

        monkeypatch.setattr(packages, "build", build)
        monkeypatch.setattr(Terraform, "init", lambda self: None)
        monkeypatch.setattr(Terraform, "apply", lambda self, variables, show: Outcome())
        monkeypatch.setattr(Terraform, "destroy", lambda self, variables, show: Outcome())
        monkeypatch.setattr(deployment, "leftovers", lambda *_: [])
        copy = Deployment.of("fanout", LOCAL)

        assert copy.zips == [Path("a.zip")]
        copy.apply(lambda line: None)
        copy.destroy(lambda line: None)
        Deployment.of("fanout", LOCAL).destroy(lambda line: None)

        assert built == ["fanout", "fanout"]

    def test_what_is_not_deployed_has_no_outputs(self, monkeypatch: pytest.MonkeyPatch, lab_dir: Path) -> None:
        monkeypatch.setattr(Terraform, "outputs", lambda self: {})

        with pytest.raises(LabError, match=r"fanout is not deployed on local: make apply PATTERN=fanout"):
            _ = Deployment.of("fanout", LOCAL).outputs

    def test_an_unknown_pattern(self) -> None:
        with pytest.raises(LabError, match=f"Unknown PATTERN=nosuch. There are: {', '.join(patterns())}"):
            Deployment.of("nosuch", LOCAL)


def test_what_is_deployed_is_read_from_the_states(lab_dir: Path) -> None:
    for workspace in ("local", "local-t3fa9c1", "aws", "endpoint"):
        (lab_dir / "state/fanout" / workspace).mkdir(parents=True)
        (lab_dir / "state/fanout" / workspace / "terraform.tfstate").touch()
    (lab_dir / "state/fanout/local-empty").mkdir()

    assert list(deployed()) == [("fanout", name) for name in ("aws", "endpoint", "local", "local-t3fa9c1")]
    assert list(deployed("local")) == [("fanout", "local"), ("fanout", "local-t3fa9c1")]
    assert list(deployed("aws")) == [("fanout", "aws")]

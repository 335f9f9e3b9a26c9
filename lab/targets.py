"""Where a pattern is deployed: an endpoint, credentials, a region, and what it is known not to show."""

import os
import socket
import threading
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
import botocore.exceptions
import botocore.session
from botocore.config import Config
from localstack_client.config import get_service_endpoint

from fault_injection.rules import THROTTLED
from lab import localstack, paths
from lab.clock import REAL_CLOCK, VIRTUAL, Clock, VirtualClock
from lab.console import LabError

LONGEST_FUNCTION_SECONDS = 900  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
FAULT_INJECTION = "TF_VAR_fault_injection"  # Terraform's variable, in the environment
CONCURRENCY_NEEDED = 100  # executions at once
PROBE_SECONDS = 60  # of silence on a connection, after which a probe keeps it alive
# Linux's name of the option, and macOS's
KEEPALIVE_AFTER = next(getattr(socket, name) for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE") if hasattr(socket, name))
ANSWER_SECONDS = 4  # a target answers within so many, or the command ends
_MAKING_A_CLIENT = threading.Lock()
_PLACEHOLDER = "test"  # LocalStack takes any credentials; these are no secret


@dataclass(frozen=True)
class Target:
    """One place to deploy to; `endpoint` is None for AWS itself."""

    name: str
    version: str
    endpoint: str | None
    region: str
    access_key: str | None = None
    clock: Clock = REAL_CLOCK
    _clients: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def workspace(self) -> str:
        """What the Terraform workspaces of its deployments begin with."""
        return VIRTUAL if self.clock.name == VIRTUAL else self.name

    def now(self) -> float:
        """The time on the target's clock, in seconds since the epoch."""
        return self.clock.now()

    @property
    def patience(self) -> float:
        """How many times longer things may take than on the local target, whose times are compressed."""
        return 1.0 if self.name == "local" else 5.0

    @cached_property
    def _session(self) -> Any:
        if self.access_key:
            # without AWS_PROFILE: your own configuration is not meant for this target, and may not exist
            plain = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
            return boto3.Session(self.access_key, self.access_key, region_name=self.region, botocore_session=plain)
        return boto3.Session(region_name=self.region)

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client for this target: for all threads the same one, but with more settings of botocore's Config.

        It gives up on a local target that hangs (60 s each try) sooner than on AWS.
        """
        attempts = 2 if self.name == "local" else 6
        usual = Config(retries={"mode": "standard", "total_max_attempts": attempts}, max_pool_connections=50)
        with _MAKING_A_CLIENT:  # a session is not for several threads
            if service in self._clients and not settings:
                return self._clients[service]
            config = usual.merge(Config(**settings))
            client = self._session.client(service, endpoint_url=self.endpoint, config=config)
            if not settings:
                self._clients[service] = client
            return client

    def invoker(self) -> Any:
        """A client that invokes functions: it waits for as long as one may run, and asks once.

        A client that gives up sooner asks again while the function still runs, so that several run at once:
        https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
        """
        once = {"total_max_attempts": 1}
        client = self.client("lambda", read_timeout=LONGEST_FUNCTION_SECONDS + 30, tcp_keepalive=True, retries=once)
        if endpoint := getattr(client, "_endpoint", None):
            # botocore switches probes on, and Linux sends the first after two hours; routers forget a connection that
            # says nothing for minutes: https://repost.aws/knowledge-center/lambda-vpc-timeout
            endpoint.http_session._socket_options.append((socket.IPPROTO_TCP, KEEPALIVE_AFTER, PROBE_SECONDS))
        return client

    def between_looks(self, seconds: float) -> float:
        """How long to wait before one looks again: so many seconds, but on AWS at least 2.5.

        There FilterLogEvents may be called 5 times a second in a whole account:
        https://repost.aws/knowledge-center/cloudwatch-logs-throttling
        """
        return max(seconds, 2.5) if self.name == "aws" else seconds

    def refuse_small_account(self) -> None:
        """Raises LabError when the account's concurrency is too small for experiments. Only AWS has a limit.

        New accounts have a reduced one (10 has been seen), and 100 must stay unreserved:
        https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
        https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
        """
        if self.name != "aws":
            return
        limit = self.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
        if limit < CONCURRENCY_NEEDED:
            raise LabError(
                f"In {self.region} this account may run {limit} executions of functions at once. That throttles the "
                f"patterns' pollers, and Lambda refuses to reserve any of it: experiments need {CONCURRENCY_NEEDED}. "
                'Ask for more in Service Quotas ("Concurrent executions" of AWS Lambda).'
            )

    def environment(self) -> dict[str, str]:
        """The environment variables that point Terraform, the AWS CLI and boto3 at this target."""
        variables = {"AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}
        if self.access_key:
            variables |= {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.access_key}
        if self.endpoint:
            variables["AWS_ENDPOINT_URL"] = self.endpoint
        if self.name == "aws":  # whoever may write the parameter of the rules can break the functions
            variables[FAULT_INJECTION] = os.environ.get(FAULT_INJECTION) or "false"
        return variables

    def identity(self) -> str:
        """The account id that the credentials belong to.

        Raises LabError when nobody answers within 4 s, or accepts them.
        """
        once = Config(connect_timeout=ANSWER_SECONDS, read_timeout=ANSWER_SECONDS, retries={"total_max_attempts": 1})
        try:
            sts = self._session.client("sts", endpoint_url=self.endpoint, config=once)
            return str(sts.get_caller_identity()["Account"])
        except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError) as error:
            where = f"at {self.endpoint}. Start it, or set AWS_ENDPOINT_URL" if self.endpoint else f"from AWS: {error}"
            raise LabError(f"Nothing answers {where}.") from error
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise LabError(f"The target {self.name} does not accept your credentials: {error}") from error


def is_throttled(error: BaseException) -> bool:
    """Whether AWS refused a call because there were too many."""
    code = error.response["Error"]["Code"] if isinstance(error, botocore.exceptions.ClientError) else None
    return code in THROTTLED


@dataclass(frozen=True)
class Gap:
    """Something that a target does not show: an entry of `lab/gaps.toml`. `semantic` is empty where none is meant.

    service: as boto3 calls it, but that of Step Functions is stepfunctions
    """

    id: str
    target: str
    version: str
    service: str
    semantic: str
    instead: str
    reason: str


def known_gaps() -> list[Gap]:
    """The table of gaps."""
    return [Gap(**entry) for entry in tomllib.loads((paths.ROOT / "lab/gaps.toml").read_text())["gap"]]


def local() -> Target:
    """The lab's own LocalStack; it need not be running."""
    return _on(localstack.default(), REAL_CLOCK)


def virtual(pattern: str) -> Target:
    """The LocalStack with a virtual clock for a pattern's experiments; it need not be running."""
    lab = localstack.virtual(pattern)
    return _on(lab, VirtualClock(lab.clock_page))


def _on(lab: localstack.LocalStack, clock: Clock) -> Target:
    version = f"LocalStack {localstack.VERSION}"
    return Target("local", version, f"http://127.0.0.1:{lab.port}", "us-east-1", _PLACEHOLDER, clock)


def endpoint() -> Target:
    """Whatever answers at AWS_ENDPOINT_URL, by default http://localhost:4566."""
    url = get_service_endpoint("sts")
    return Target("endpoint", str(url), url, os.environ.get("AWS_REGION", "us-east-1"), _PLACEHOLDER)


def aws() -> Target:
    """AWS itself, with the ambient credentials. Raises LabError when there are none, or no region."""
    try:
        session = boto3.Session()
        if where := _configured_endpoint(session):
            raise LabError(f"{where} points away from AWS. Unset it, or use TARGET=endpoint.")
        credentials = session.get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise LabError(f"Your AWS configuration cannot be used: {error}. Check AWS_PROFILE.") from error
    if credentials is None:
        raise LabError("No AWS credentials found. Run `aws sso login` or set AWS_PROFILE, then try again.")
    region = os.environ.get("AWS_REGION") or session.region_name  # boto3 reads AWS_DEFAULT_REGION only
    if not region:
        raise LabError("No AWS region is set. Set AWS_REGION, for example AWS_REGION=eu-central-1.")
    return Target("aws", "AWS", None, region)


def _configured_endpoint(session: Any) -> str | None:
    """A setting that gives requests to AWS, of all services or of one, another endpoint, if there is one.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    for name, value in os.environ.items():
        if value and (name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")):
            return f"{name}={value}"
    configured = session._session  # botocore's, which reads the profiles
    profile = configured.get_scoped_config()
    if url := profile.get("endpoint_url"):
        return f"endpoint_url = {url} of the profile {session.profile_name}"
    services = configured.full_config.get("services", {}).get(profile.get("services"), {})
    for service, settings in services.items():
        if isinstance(settings, dict) and (url := settings.get("endpoint_url")):
            return f"endpoint_url = {url} of {service} in the services {profile['services']}"
    return None


TARGETS: dict[str, Callable[[], Target]] = {"local": local, "endpoint": endpoint, "aws": aws}


def find(name: str) -> Target:
    """The target of that name. Raises LabError when there is none."""
    if name not in TARGETS:
        raise LabError(f"Unknown TARGET={name}. There are: {', '.join(TARGETS)}.")
    return TARGETS[name]()

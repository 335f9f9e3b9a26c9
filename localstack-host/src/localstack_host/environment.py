"""The environment variables that LocalStack is started with: all of them, so that the caller's do not leak in."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

ACCOUNT_REGION = "us-east-1"
# For tests: the file in which ``patching`` notes what is replaced, and what of it is reached.
REPLACEMENTS = "LOCALSTACK_HOST_REPLACEMENTS"
INHERITED = ("PATH", "LANG", "DEBUG", "LS_LOG", REPLACEMENTS)
FUNCTION_PYTHON = "LOCALSTACK_HOST_FUNCTION_PYTHON"
ALARM_SECONDS = "LOCALSTACK_HOST_ALARM_SECONDS"
DELIVERY_RETRY_SECONDS = "LOCALSTACK_HOST_DELIVERY_RETRY_SECONDS"
PRIVATE_FOLDERS = "LOCALSTACK_HOST_PRIVATE_FOLDERS"
CLOCK_PAGE = "LOCALSTACK_HOST_CLOCK_PAGE"

# What AWS documents (SQS metrics every minute: sqs-monitoring-using-cloudwatch; a first retry of an asynchronous
# invocation after one minute: invocation-async-error-handling) and LocalStack does too.
DEFAULT_METRIC_SECONDS = 60
DEFAULT_ASYNC_RETRY_SECONDS = 60


@dataclass(frozen=True)
class Options:
    """What a start of LocalStack depends on. Seconds are whole.

    directory, function_python: absolute, since LocalStack works in ``directory``
    private_folders: what ``private_folders`` found usable, as it printed it
    virtual_clock: whether the time is that of ``clock.keeper``
    """

    port: int
    directory: Path
    function_python: str
    alarm_seconds: int | None = None
    metric_seconds: int = DEFAULT_METRIC_SECONDS
    async_retry_seconds: int = DEFAULT_ASYNC_RETRY_SECONDS
    delivery_retry_seconds: int | None = None
    private_folders: str = ""
    virtual_clock: bool = False

    @property
    def clock_page(self) -> Path:
        """Where the virtual time is; with the machine's clock there is no such file."""
        return self.directory / "clock"


class NotInstalled(Exception):
    """The installed entry points are not those of this source."""


def providers() -> list[str]:
    """The services that this package has a provider for, by the entry points that were read when it was installed.

    Raises NotInstalled if they do not name each package of this source that has a provider, and no other: LocalStack
    would serve the service by its own provider, without a word.
    """
    package = Path(__file__).parent
    found = [point for point in entry_points(group="localstack.aws.provider") if point.name.endswith(":host")]
    installed = {point.module for point in found}
    wanted = {f"{__package__}.{path.parent.name}.service" for path in package.glob("*/service.py")}
    if differing := sorted(installed ^ wanted):
        raise NotInstalled(
            f"the installation does not fit the source ({', '.join(differing)}); install localstack-host again: "
            "pip install --no-deps --no-build-isolation -e ."
        )
    return sorted(point.name.removesuffix(":host") for point in found)


def environment(options: Options, caller: Mapping[str, str]) -> dict[str, str]:
    """The complete environment of the LocalStack process; of the caller's only INHERITED is taken over.

    Raises NotInstalled as ``providers`` does.
    """
    directory, address = options.directory, f"127.0.0.1:{options.port}"
    variables = {
        # Everything that LocalStack and the libraries below it write goes into the directory.
        "HOME": str(directory),
        "TMPDIR": str(directory / "tmp"),
        "XDG_CACHE_HOME": str(directory / "cache"),
        "FILESYSTEM_ROOT": str(directory / "filesystem"),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Host mode on one loopback address; no DNS server, no certificate download, no usage events.
        "OVERRIDE_IN_DOCKER": "0",
        "GATEWAY_SERVER": "loopback",
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,
        "USE_SSL": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        # Queue URLs as http://127.0.0.1:<port>/<account>/<name>: Terraform's provider fails on the others.
        "SQS_ENDPOINT_STRATEGY": "off",
        # LocalStack's calls of itself stay in their thread and pass no socket: a mapping takes two thirds of the time.
        # With the virtual clock they have to: who waits for an answer would count as at work, and a long poll stop the
        # time.
        "IN_MEMORY_CLIENT": "1",
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        # Unpacking a zip takes milliseconds here; callers that wait for "Active" find it at once.
        "LAMBDA_SYNCHRONOUS_CREATE": "1",
        "LAMBDA_RETRY_BASE_DELAY": str(options.async_retry_seconds),
        # Presigned URLs expire, and must be signed (presigned_urls).
        "S3_SKIP_SIGNATURE_VALIDATION": "0",
        "SQS_CLOUDWATCH_METRICS_REPORT_INTERVAL": str(options.metric_seconds),
        FUNCTION_PYTHON: options.function_python,
        PRIVATE_FOLDERS: options.private_folders,
        # For clients that LocalStack creates for itself; any value will do.
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": ACCOUNT_REGION,
    }
    if options.alarm_seconds is not None:
        variables[ALARM_SECONDS] = str(options.alarm_seconds)
    if options.virtual_clock:
        variables[CLOCK_PAGE] = str(options.clock_page)
    if options.delivery_retry_seconds is not None:
        variables[DELIVERY_RETRY_SECONDS] = str(options.delivery_retry_seconds)
    overrides = {f"PROVIDER_OVERRIDE_{name.upper()}": "host" for name in providers()}
    return {name: caller[name] for name in INHERITED if name in caller} | variables | overrides

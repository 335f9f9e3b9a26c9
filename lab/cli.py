"""The commands behind the Makefile."""

import json
import os
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import botocore.exceptions
import typer
from rich.markup import escape
from rich.table import Column, Table
from typer.exceptions import TyperException

from lab import bench as benchmarks
from lab import cpu_time, faults, follow, journeys, localstack, packages, paths, targets, terraform, testing
from lab import docs as generated
from lab import load as loads
from lab import new as template
from lab import peek as peeking
from lab.clock import REAL, VIRTUAL
from lab.console import LabError, console, errors, step
from lab.deployment import Deployment, FunctionFailed, check_pattern, copies, deployed, in_workspace
from lab.targets import Target

INTERRUPTED = 130  # the exit status of what SIGINT ended: 128 + 2

# https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html (mappings),
# https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html (filters), and of S3
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications.html (notifications) and
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html (versioning)
FIRST_MINUTES = (
    "AWS takes some minutes to begin: event source mappings up to a few, notifications of S3 about 5, filter policies "
    "of SNS and versioning of S3 up to 15. What is sent before may reach too many, or nobody, ever."
)
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/pointintimerecovery_beforeyoubegin.html (backup) and
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html (metrics); the rest is belief
TRACES = (
    "What AWS keeps all the same: metrics, for 15 months; of a table with point-in-time recovery a system backup, for "
    "35 days, at no charge; the resource policy that lets it deliver logs, which is the account's."
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

PatternOption = Annotated[str, typer.Option(envvar="PATTERN", help="Name of a pattern.")]
TargetOption = Annotated[str, typer.Option(envvar="TARGET", help="local, endpoint or aws.")]
YesOption = Annotated[
    bool, typer.Option(envvar="YES", help="Do not ask before creating or destroying something on AWS.")
]


def main() -> None:
    """Runs a command. However it fails, that is said in a sentence, and never with a traceback.

    The exit status is 1 after an error and 130 after Ctrl-C. The traceback of an error that nobody foresaw is in a log.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # both end alike: everything is cleaned up
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    try:
        status = app(standalone_mode=False)
    except LabError as error:
        status = failed(str(error))
    except typer.BadParameter as error:
        status = failed(wrong_value(error))
    except TyperException as error:
        status = failed(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError) as error:
        status = failed(f"The target no longer answers: {error} What runs: make status")
    except Exception as error:
        status = failed(unforeseen(error))
    if status == INTERRUPTED:
        errors.print("Interrupted.")
    sys.exit(status)


def failed(message: str) -> int:
    """Says what is wrong, and returns the exit status."""
    errors.print(f"[red]✗[/red] {escape(message)}")
    return 1


def wrong_value(error: typer.BadParameter) -> str:
    """A sentence about an option whose value does not do, as it was typed."""
    parameter = error.param
    if parameter is None or not isinstance(parameter.envvar, str):
        return error.format_message()
    expected = error.message.removeprefix("Input ").split(",")[0]  # as pydantic says it
    expected = expected.replace("a valid boolean", "1 or 0").replace("a valid integer", "a whole number")
    return f"{parameter.envvar}={os.environ.get(parameter.envvar, '')} {expected}."


def unforeseen(error: Exception) -> str:
    """A line about an error that no command expects, with the path of a log that has its traceback."""
    said = " ".join(f"{type(error).__name__}: {error}".split())
    log = paths.LOGS / f"error-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)))
    except OSError as unwritten:
        return f"Something went wrong that the lab did not foresee: {said} (and no log of it: {unwritten})"
    return f"Something went wrong that the lab did not foresee: {said} (traceback: {paths.shown(log)})"


@app.command()
def up() -> None:
    """Starts the local target."""
    start_local()


@app.command()
def down() -> None:
    """Stops the local target; what was deployed on it is gone with it."""
    stop_local()
    for pattern in localstack.virtual_ones():
        with step(f"stopping the LocalStack of {pattern}'s experiments"):
            testing.stop_virtual(pattern)


@app.command()
def status() -> None:
    """Shows what runs, where, and what is deployed."""
    lab = localstack.default()
    instance = lab.running()
    if instance:
        state = "ready" if localstack.healthy(instance) else "not answering"
        functions = len(lab.function_processes())
        console.print(
            f"LocalStack {localstack.VERSION} at {instance.url}: {state} (pid {instance.pid}), {instance.clock} clock"
        )
        console.print(f"  {functions} function processes", style="dim")
        console.print(f"  log: {paths.shown(lab.log)}", style="dim")
        scale = ", ".join(f"{name.replace('-', ' ')} {seconds}" for name, seconds in localstack.TIME_SCALE.items())
        console.print(f"  time runs faster than on AWS: {scale}", style="dim")
    else:
        console.print("LocalStack is not running: make up")
    experimenting = localstack.virtual_ones()
    for pattern, one in experimenting.items():
        console.print(f"LocalStack of {pattern}'s experiments at {one.url} (pid {one.pid}), {one.clock} clock")
    table = Table(*(Column(name, overflow="fold") for name in ("pattern", "workspace")), box=None)
    for pattern, workspace in deployed():
        # what was on a LocalStack that is gone is gone with it
        if (instance or not is_local(workspace)) and (pattern in experimenting or not is_virtual(workspace)):
            table.add_row(pattern, workspace)
    console.print(table if table.row_count else "Nothing is deployed.")


@app.command()
def env(target: TargetOption = "local") -> None:
    """Prints shell variables that point terraform, aws and boto3 at the target."""
    chosen = targets.find(target)
    if not terraform.users_configuration():
        terraform.choose_provider_source()
    if chosen.access_key:
        print("unset", *terraform.yours(os.environ))
    for name, value in (chosen.environment() | terraform.automation(chosen.name)).items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def new(pattern: PatternOption = "") -> None:
    """Makes a new pattern from the template."""
    folder = paths.shown(template.make(pattern))
    list(generated.generate())  # the table of failures in its README
    console.print(
        f"Made {folder}/: a queue, a consumer and one experiment. It works as it is:\n"
        f"  make apply PATTERN={pattern} · make send PATTERN={pattern}\n"
        f"  make test PATTERN={pattern}, then make docs, which writes what it observed into {folder}/README.md\n"
        f"Then make it yours (CONTRIBUTING.md), and give it a row in README.md."
    )


@app.command()
def build(pattern: PatternOption = "") -> None:
    """Builds a pattern's zips."""
    check_pattern(pattern)
    with step("building") as progress:
        progress.result = built(packages.build(pattern))


@app.command()
def apply(pattern: PatternOption = "", target: TargetOption = "local", yes: YesOption = False) -> None:
    """Deploys a pattern."""
    check_pattern(pattern)
    terraform.find_executable()
    deployment = Deployment.of(pattern, ready(target, yes))
    with step("building") as progress:
        progress.result = built(deployment.zips)
    undone = f"What was made so far is in the state: `make apply PATTERN={pattern}` goes on, `make destroy` removes it."
    with said_when_interrupted(undone), step("terraform apply") as progress:
        outcome = deployment.apply(progress.detail)
        counts = "{add} added, {change} changed, {remove} destroyed".format(**outcome.changes)
        waits = (
            f"; {outcome.sqs_wait_seconds:.0f} s of it the provider waiting for queues"
            if outcome.sqs_wait_seconds
            else ""
        )
        progress.result = f"terraform apply: {counts}{waits}"
    console.print(f"\n[bold]{pattern}[/bold] is deployed on {deployment.target.name}. Its outputs:")
    for name, value in deployment.outputs.items():
        console.print(f"  {name} = {short(value)}", markup=False)
    if target == "aws":
        console.print(f"\n{FIRST_MINUTES}")
    parameter = deployment.contract.faults_parameter  # says what is wrong with the outputs, if anything is
    if target == "aws" and parameter:
        console.print(
            f"\nWhoever may write the SSM parameter {parameter} can break these functions. "
            f"Without it: TF_VAR_fault_injection=false make apply PATTERN={pattern} TARGET=aws"
        )
    console.print(f"\nNext: make send PATTERN={pattern} · make test PATTERN={pattern} · patterns/{pattern}/README.md")


@app.command()
def send(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    event: Annotated[
        str, typer.Option(envvar="EVENT", help="A file in the pattern's events/, without .json.")
    ] = "default",
    count: Annotated[int, typer.Option(envvar="COUNT", min=1, help="How often to send it.")] = 1,
) -> None:
    """Sends sample events in, and shows what the functions make of them."""
    deployment = applied(pattern, target)
    payload = deployment.event(event)
    began = time.time()
    sent: set[str] = set()
    for _ in range(count):
        try:
            published = deployment.invoke(deployment.contract.entry, payload)["published"]
        except FunctionFailed as error:
            file = deployment.folder / "events" / f"{event}.json"
            raise LabError(f"{error}\nIt was sent {paths.shown(file)}: is that what it takes?") from error
        sent |= {item["correlation_id"] for item in published}
        if count == 1:
            for item in published:
                console.print(f"  sent {journeys.subject(item)}", markup=False)
    if not sent:
        raise LabError(f"Nothing was sent: {deployment.contract.entry} has published nothing of EVENT={event}.")
    follow.follow(deployment, sent, began)


@app.command()
def trace(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    id: Annotated[
        str, typer.Option(envvar="ID", help="A correlation id, as `send` prints it, or the name of an execution.")
    ] = "",
) -> None:
    """Shows the journey of one correlation id across every function and state."""
    deployment = applied(pattern, target)
    if not id:
        raise LabError("Which correlation id? Say ID=<id>; `make send` prints it.")
    hops = journeys.hops(deployment, id)
    if not hops:
        raise LabError(f"No function of {deployment.name} logged anything under ID={id}. `make send` prints the ids.")
    console.print(journeys.table(hops), markup=False)


@app.command()
def replay(pattern: PatternOption = "", target: TargetOption = "local") -> None:
    """Processes again what a pattern gave up on."""
    operate(applied(pattern, target), "replay")


@app.command()
def verify(pattern: PatternOption = "", target: TargetOption = "local") -> None:
    """Checks what a pattern has recorded; fails when something is wrong with it."""
    operate(applied(pattern, target), "verify")


@app.command()
def load(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    rate: Annotated[float, typer.Option(envvar="RATE", min=0.1, max=1000, help="Orders per second.")] = 20,
    duration: Annotated[float, typer.Option(envvar="DURATION", min=1, max=86400, help="Seconds to send for.")] = 30,
) -> None:
    """Sends at a rate and shows live what becomes of it, until the queue is empty."""
    folder = loads.run(applied(pattern, target), rate, duration)
    console.print(f"\n{paths.shown(folder)}/plot.svg and samples.csv show it over time.")


@app.command()
def fault(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    function: Annotated[str, typer.Option(envvar="FUNCTION")] = "",
    mode: Annotated[str, typer.Option(envvar="MODE")] = "",
    when: Annotated[str, typer.Option(envvar="WHEN", help="JMESPath over the payload.")] = "",
    probability: Annotated[float | None, typer.Option(envvar="PROBABILITY")] = None,
    receive_count: Annotated[int | None, typer.Option(envvar="RECEIVE_COUNT")] = None,
    parameters: Annotated[str, typer.Option(envvar="PARAMETERS", help="The mode's own parameters, as JSON.")] = "{}",
) -> None:
    """Breaks a function on purpose, until `heal`."""
    deployment = applied(pattern, target)
    functions = deployment.contract.functions
    if function not in functions:
        raise LabError(f"Unknown FUNCTION={function}. There are: {', '.join(functions)}.")
    example = "For example PARAMETERS='{\"seconds\": 2}'."
    try:
        more = json.loads(parameters)
    except (ValueError, RecursionError) as error:
        raise LabError(f"PARAMETERS is not JSON: {error}. {example}") from error
    if not isinstance(more, dict):
        raise LabError(f"PARAMETERS is not a JSON object: {parameters}. {example}")
    given = {
        "function": function,
        "mode": mode,
        "when": when,
        "probability": probability,
        "receive_count": receive_count,
    }
    faults.inject(deployment, {name: value for name, value in given.items() if value not in ("", None)} | more)
    console.print(
        f"{len(faults.rules(deployment))} fault rule(s) in force. Take them back: make heal PATTERN={pattern}"
    )


@app.command()
def heal(pattern: PatternOption = "", target: TargetOption = "local") -> None:
    """Takes all faults back."""
    healed = faults.heal(applied(pattern, target))
    for rule, times in healed:
        more = ", ".join(f"{name}: {value}" for name, value in rule.items() if name not in ("function", "mode", "id"))
        said = f"{rule['mode']} in {rule['function']}{more and f' ({more})'}"
        console.print(f"  {said}: acted {times} time{'' if times == 1 else 's'}", markup=False)
    console.print(f"{len(healed)} fault rule(s) removed.")


@app.command()
def peek(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    queue: Annotated[str, typer.Option(envvar="QUEUE", help="Whose dead-letter queue to look into.")] = "",
) -> None:
    """Shows what waits in a dead-letter queue, and takes nothing out of it."""
    deployment = applied(pattern, target)
    url = peeking.dead_letter_queue(deployment, queue)
    letters = peeking.letters(deployment, url)
    for letter in letters:
        console.print(str(letter), markup=False)
    depth = deployment.depth(url)
    hidden = f", {depth.in_flight} more are hidden, since somebody has received them" if depth.in_flight else ""
    console.print(
        f"{url.rpartition('/')[2]}: {len(letters)} of about {depth.waiting} message(s){hidden}. "
        "All are still there; each look counts as a receive, which has no consequence in a dead-letter queue.",
        markup=False,
    )


@app.command()
def redrive(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    queue: Annotated[str, typer.Option(envvar="QUEUE", help="Whose dead-letter queue to redrive.")] = "",
) -> None:
    """Moves a dead-letter queue's messages back to their queue."""
    deployment = applied(pattern, target)
    queues = deployment.contract.queues
    if queue not in queues:
        raise LabError(f"Unknown QUEUE={queue}. There are: {', '.join(queues) or 'none'}.")
    with step("redrive") as progress:
        moved = faults.redrive(deployment, queues[queue].dlq_arn, progress.detail)
        progress.result = f"{moved} message(s) moved back to {queue}."


@app.command()
def destroy(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    copy: Annotated[str, typer.Option(envvar="COPY", help="An isolated copy that was kept.")] = "",
    yes: YesOption = False,
) -> None:
    """Destroys a pattern, and proves that nothing is left of it."""
    check_pattern(pattern)
    experimenting = pattern in localstack.virtual_ones() if target == "local" else False
    known = copies(pattern, targets.virtual(pattern)) if experimenting else {}
    if copy not in known:
        if target == "local" and not localstack.default().running():
            forget_local()
            console.print(f"LocalStack is not running, and {pattern} is gone with it.")
            return
        chosen = reachable(target)
        known |= copies(pattern, chosen)
    if copy and copy not in known:
        raise LabError(f"Unknown COPY={copy}. There are: {', '.join(known) or 'none'}.")
    deployment = known[copy] if copy else Deployment.of(pattern, chosen)
    deployment.refuse_elsewhere()
    if target == "aws":
        agreed(chosen, yes, f"{deployment.name} is destroyed there, with all its data.", "Nothing was destroyed.")
    undone = "What is not destroyed yet is in the state: the same command goes on."
    with said_when_interrupted(undone), step("terraform destroy") as progress:
        outcome = deployment.destroy(progress.detail)
        progress.result = (
            f"terraform destroy: {outcome.changes['remove']} destroyed, and nothing is left of {deployment.name}"
        )
    if experimenting:
        testing.end_virtual(pattern)
    if target == "aws":
        console.print(TRACES)


@app.command()
def test(
    pattern: PatternOption = "",
    target: TargetOption = "local",
    keep: Annotated[bool, typer.Option(envvar="KEEP", help="Keep the isolated copy.")] = False,
    yes: YesOption = False,
    clock: Annotated[str, typer.Option(envvar="CLOCK", help="virtual, or real: the local target's.")] = VIRTUAL,
) -> None:
    """Runs a pattern's experiments on an isolated copy; without a pattern, every test there is."""
    if pattern:
        check_pattern(pattern)
    terraform.find_executable()
    if clock not in (REAL, VIRTUAL):
        raise LabError(f"Unknown CLOCK={clock}. There are: {VIRTUAL}, {REAL}.")
    if target != "local":
        clock = REAL
    os.environ["KEEP"] = "1" if keep else ""  # pytest's fixtures read it
    was_running = target != "local" or clock == VIRTUAL or localstack.default().running() is not None
    if clock == VIRTUAL:  # each pattern's experiments start one of their own
        chosen = targets.find(target)
        install_local()
    else:
        chosen = ready(target, yes)
        chosen.refuse_small_account()
    undone = "What is left of it shows in `make status`; `make destroy PATTERN=<name> COPY=<name>` removes it."
    try:
        with said_when_interrupted(undone):
            code = testing.run_tests(pattern, chosen, clock)
    finally:
        if not was_running and not keep:
            stop_unused()
    sys.exit(code)


@app.command()
def lint() -> None:
    """Runs every static check."""
    sys.exit(testing.run_lint())


@app.command()
def docs() -> None:
    """Writes the generated parts of the READMEs."""
    for file in generated.write():
        console.print(f"wrote {paths.shown(file)}")


@app.command()
def bench(pattern: PatternOption = "fanout") -> None:
    """Measures what the lab promises."""
    check_pattern(pattern)
    start_local()
    benchmarks.measure(pattern)


@app.command()
def profile(
    command: Annotated[
        str, typer.Option(envvar="COMMAND", help="A command of the lab, with its own variables.")
    ] = "test",
) -> None:
    """Runs a command, and says whose processor time it took."""
    commands = [known.callback.__name__ for known in app.registered_commands if known.callback]
    if command not in commands:
        raise LabError(f"Unknown COMMAND={command}. There are: {', '.join(commands)}.")
    found = cpu_time.measure([sys.executable, "-m", "lab", command], localstack.processes())
    table = Table("processor time of", "processes", "seconds", "not seen", "share", box=None)
    for kind, share in found.shares.items():
        part = f"{share.seconds / found.seconds:.0%}"
        table.add_row(kind, str(share.processes), f"{share.seconds:.1f}", f"{share.unseen:.1f}", part)
    console.print(table)
    console.print(
        f"{found.seconds:.1f} s in all, and {found.looks_seconds:.1f} s for looking. Not seen: what ended between two "
        "looks, counted for what started it. docs/commands.md says how exact that is.",
        style="dim",
    )
    sys.exit(found.status)


@app.command()
def clean() -> None:
    """Stops everything, and refuses to forget what is deployed where it outlives the lab."""
    outlives = [
        f"{name} ({workspace})" for name, workspace in deployed() if not (is_local(workspace) or is_virtual(workspace))
    ]
    if outlives:
        raise LabError(f"Still deployed: {', '.join(outlives)}. Destroy it first, or its state is lost.")
    down()


def start_local() -> None:
    """Starts the lab's own LocalStack, installing it on first use."""
    lab = localstack.default()
    if not lab.running() and lab.outdated():
        localstack.refuse_taken_port(lab.port)
        install_local()
    with step("starting LocalStack") as progress:
        instance, started = lab.start()
        how = "started" if started else "already runs"
        progress.result = f"LocalStack {localstack.VERSION} {how} at {instance.url}"
    if started:
        forget_local()


def install_local() -> None:
    """Installs LocalStack, unless it is."""
    lab = localstack.default()
    if lab.outdated():
        with step("installing LocalStack (once, about half a minute)") as progress:
            lab.install()
            progress.result = f"installed LocalStack {localstack.VERSION} in {paths.shown(lab.environments)}"


def stop_local() -> None:
    """Stops the lab's own LocalStack, and none of those that experiments have."""
    with step("stopping LocalStack") as progress:
        stopped = localstack.default().stop()
        progress.result = "LocalStack stopped" if stopped else "LocalStack was not running"
    forget_local()


def stop_unused() -> None:
    """Stops the local target, unless another command uses it, or something is deployed on it."""
    with localstack.default().alone() as alone:
        found = ", ".join(f"{pattern} ({workspace})" for pattern, workspace in deployed("local"))
        if alone and not found:
            stop_local()
        else:
            console.print(f"LocalStack goes on: {found or 'another command uses it'}. To stop it: make down")


def forget_local() -> None:
    """Drops Terraform's state of the local target: a LocalStack that starts is empty."""
    for pattern, workspace in deployed("local"):
        in_workspace(pattern, workspace, targets.local()).terraform.forget()


def is_local(workspace: str) -> bool:
    """Whether it is one of the local target's."""
    return workspace == "local" or workspace.startswith("local-")


def is_virtual(workspace: str) -> bool:
    """Whether it is on the LocalStack of a pattern's experiments, whose clock is virtual."""
    return workspace.startswith(f"{VIRTUAL}-")


def ready(name: str, yes: bool) -> Target:
    """The target, started where it is local, and agreed to where it costs money."""
    target = targets.find(name)
    if name == "local":
        start_local()
    elif name == "endpoint":
        target.identity()
    else:
        agreed(target, yes, "What is created there costs money.", "Nothing was created.")
    return target


def agreed(target: Target, yes: bool, consequence: str, otherwise: str) -> None:
    """Shows which account and region of AWS a command is about to change, and asks. Raises LabError without a yes."""
    console.print(f"AWS account {target.identity()}, region {target.region}. {consequence}")
    if not yes and not (sys.stdin.isatty() and typer.confirm("Go on?")):
        raise LabError(f"{otherwise} YES=1 answers the question.")


def reachable(name: str) -> Target:
    """The target, which must answer."""
    target = targets.find(name)
    if name == "local":
        localstack.default().answering()
    else:
        target.identity()
    return target


def applied(pattern: str, target: str) -> Deployment:
    """The copy that `make apply` made, on a target that must answer."""
    check_pattern(pattern)
    return Deployment.of(pattern, reachable(target))


def built(zips: list[Path]) -> str:
    return f"built {len(zips)} zips in {paths.shown(paths.BUILD)}"


@contextmanager
def said_when_interrupted(text: str) -> Iterator[None]:
    """Says how things stand when Ctrl-C ends the block."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(text, markup=False)
        raise


def operate(deployment: Deployment, operation: str) -> None:
    """Runs one of the functions that a pattern has for its operator: it says what it did, and what is wrong.

    Raises LabError when the pattern has no such function, or when the function found something wrong.
    """
    operations = deployment.contract.operations
    if operation not in operations:
        known = ", ".join(f"make {name}" for name in operations) or "none"
        raise LabError(f"The pattern {deployment.pattern} has no `make {operation}`. Its operations: {known}.")
    with step(operation) as progress:
        found = deployment.invoke(operations[operation])
        progress.result = f"{operation}: {found['summary']}"
    if problems := found.get("problems"):
        raise LabError("\n".join([f"{len(problems)} problem(s):", *(f"  {problem}" for problem in problems)]))


def short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 90 else f"{text[:87]}..."

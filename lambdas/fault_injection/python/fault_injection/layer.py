"""The wrapper around the real handler: reads the rules, and lets those that match act.

A rule without `when` and `receive_count` acts on the invocation. A rule with one of them, on an event with
`Records`, acts on single records: if the function uses Powertools' batch utility, and the event is of a source that
the utility is for, around its record handler, so that one record fails (or takes the process with it) among others;
otherwise on the invocation, if any record matches.
A `malformed_response` is the whole function's answer, so it always acts on the invocation.
"""

import builtins
import functools
import importlib
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError

from fault_injection import dependency
from fault_injection.rules import (
    FAULT_RULES_TTL_SECONDS,
    FAULT_RULES_TTL_SECONDS_ON_AWS,
    THROTTLED,
    Rule,
    matches,
    parse,
)

Handler = Callable[[Any, Any], Any]
RuleReader = Callable[[], list[Rule]]


# https://docs.aws.amazon.com/powertools/python/latest/utilities/batch/
BATCH_SOURCES = ("aws:sqs", "aws:kinesis", "aws:dynamodb")


class InjectedFault(Exception):
    """What an `exception` or `fail_after_commit` rule raises when it names no error of its own."""


@dataclass(frozen=True)
class _Invocation:
    context: Any
    record_rules: list[Rule]


_current: _Invocation | None = None


def load(environ: Mapping[str, str]) -> Handler:
    """The handler named by FAULT_INJECTION_HANDLER, wrapped.

    Rules come from the SSM parameter FAULT_INJECTION_PARAMETER, for the function FAULT_INJECTION_FUNCTION.
    Raises ImportError, which the Lambda runtime reports as Runtime.ImportModuleError, when there is no such handler.
    """
    # Before the import: the handler's module creates its clients when it is imported.
    dependency.install()
    handler = import_handler(environ["FAULT_INJECTION_HANDLER"])
    on_aws = "AWS_ENDPOINT_URL" not in environ
    read_rules = cached(
        ssm_fetcher(environ["FAULT_INJECTION_PARAMETER"]),
        FAULT_RULES_TTL_SECONDS_ON_AWS if on_aws else FAULT_RULES_TTL_SECONDS,
    )
    return wrap(handler, environ["FAULT_INJECTION_FUNCTION"], read_rules)


def import_handler(path: str) -> Handler:
    """The function at `module.name`, as the Lambda runtime finds it."""
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(module_name.replace("/", "."))
    if not hasattr(module, name):
        raise ImportError(f"Handler '{name}' missing on module '{module_name}'")
    handler: Handler = getattr(module, name)
    return handler


def ssm_fetcher(parameter: str) -> Callable[[], str]:
    """A function that reads the parameter's value, with a client that is made now."""
    # It runs on the function's own time; but whoever gives up on a slow answer runs without the faults in force.
    config = Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"})
    ssm: Any = botocore.session.get_session().create_client("ssm", config=config)
    return lambda: str(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])


def cached(fetch: Callable[[], str], ttl: float, clock: Callable[[], float] = time.time) -> RuleReader:
    """A reader of rules whose copy is at most `ttl` seconds old, and up to a quarter less: not all are read at once.

    When the parameter cannot be read or parsed no fault acts, and an ERROR line says so: a fault that cannot be
    switched off is an outage. When too many read it, the rules stay: they were in force a moment ago, and one that
    silently stopped acting would prove what it does not. The clock is the wall clock, because a frozen environment's
    monotonic clock may stand.
    """
    rules: list[Rule] = []
    read_at = float("-inf")
    lifetime = ttl

    def read() -> list[Rule]:
        nonlocal rules, read_at, lifetime
        now = clock()
        if not 0 <= now - read_at < lifetime:
            read_at, lifetime = now, ttl * random.uniform(0.75, 1)
            try:
                rules = parse(fetch())
            except Exception as error:
                if _is_throttled(error):
                    _log("WARNING", "fault rules kept", error=f"{type(error).__name__}: {error}")
                    return rules
                rules = []
                _log("ERROR", "fault rules ignored", error=f"{type(error).__name__}: {error}")
        return rules

    return read


def _is_throttled(error: Exception) -> bool:
    code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return code in THROTTLED


def wrap(handler: Handler, function: str, read_rules: RuleReader) -> Handler:
    """The handler with the rules for `function` acting around it."""
    per_record = _hook_batch_processor()

    @functools.wraps(handler)
    def faulty(event: Any, context: Any) -> Any:
        global _current
        rules = [rule for rule in read_rules() if rule.function == function]
        if not rules:
            return handler(event, context)
        on_records = [rule for rule in rules if per_record and _is_for_records(rule, event)]
        on_invocation = [rule for rule in rules if rule not in on_records and _matches_any(rule, event)]
        _current = _Invocation(context, on_records)
        try:
            return _around(lambda: handler(event, context), on_invocation, context, {})
        finally:
            _current = None

    return faulty


def _records(event: Any) -> list[Any]:
    records = event.get("Records") if isinstance(event, dict) else None
    return records if isinstance(records, list) else []


def _is_for_records(rule: Rule, event: Any) -> bool:
    selective = rule.when is not None or rule.receive_count is not None
    of_a_batch = any(isinstance(each, dict) and each.get("eventSource") in BATCH_SOURCES for each in _records(event))
    return selective and rule.mode != "malformed_response" and of_a_batch


def _matches_any(rule: Rule, event: Any) -> bool:
    return any(_matches(rule, subject) for subject in _records(event) or [event])


def _matches(rule: Rule, subject: Any) -> bool:
    """`subject` is a record, of SQS or another source, or an event."""
    if not isinstance(subject, dict) or subject.get("eventSource") != "aws:sqs":
        return matches(rule, subject, None)
    payload: Any = subject.get("body")
    # Whatever the body is, the handler gets it: not even brackets nested too deeply are a fault of this layer.
    with suppress(ValueError, TypeError, RecursionError):
        payload = json.loads(payload)
    attributes = subject.get("attributes")
    receives = attributes.get("ApproximateReceiveCount") if isinstance(attributes, dict) else None
    return matches(rule, payload, int(receives) if isinstance(receives, str) and receives.isdecimal() else None)


def _hook_batch_processor() -> bool:
    """Puts faults around the record handlers of Powertools' batch processors. False if the function uses none.

    `BasePartialProcessor.__call__(records, handler, lambda_context)` is where every processor, under
    `process_partial_response` as in a `with` block, is handed its record handler.
    https://docs.aws.amazon.com/powertools/python/latest/utilities/batch/
    """
    batch = sys.modules.get("aws_lambda_powertools.utilities.batch")
    if batch is None:
        return False
    original = batch.BasePartialProcessor.__call__
    if not hasattr(original, "__wrapped__"):  # Not hooked yet.

        @functools.wraps(original)
        def with_faults(self: Any, records: Any, handler: Callable[..., Any], lambda_context: Any = None) -> Any:
            return original(self, records, _around_each_record(handler), lambda_context)

        batch.BasePartialProcessor.__call__ = with_faults
    return True


def _around_each_record(record_handler: Callable[..., Any]) -> Callable[..., Any]:
    # wraps: Powertools looks at the signature to decide whether the handler wants the Lambda context.
    @functools.wraps(record_handler)
    def faulty(*args: Any, **kwargs: Any) -> Any:
        work = functools.partial(record_handler, *args, **kwargs)
        if _current is None or not _current.record_rules:
            return work()
        record = args[0] if args else kwargs["record"]
        raw = getattr(record, "raw_event", record)
        hits = [rule for rule in _current.record_rules if _matches(rule, raw)]
        return _around(work, hits, _current.context, {"message_id": raw.get("messageId")})

    return faulty


def _around(work: Callable[[], Any], candidates: list[Rule], context: Any, fields: dict[str, Any]) -> Any:
    """Does the work with the rules acting, in their order: first those that act before it, then those after it."""
    rules = [rule for rule in candidates if rule.probability is None or random.random() < rule.probability]

    def report(rule: Rule, details: dict[str, Any]) -> None:
        request_id = getattr(context, "aws_request_id", None)
        injected = {
            "rule_id": rule.id, "mode": rule.mode, "function": rule.function, "function_request_id": request_id
        }  # fmt: skip
        place = {"place": rule.at} if rule.at else {}
        _log("WARNING", "fault injected", **injected, **fields, **place, **details)

    def act(rule: Rule) -> None:
        """What may happen anywhere in the work."""
        match rule.mode:
            case "latency":
                report(rule, {"seconds": rule.seconds})
                time.sleep(rule.seconds or 0)
            case "timeout":
                report(rule, {})
                # A second past the deadline: Lambda ends the environment before it is over.
                time.sleep(context.get_remaining_time_in_millis() / 1000 + 1)
            case "crash":
                report(rule, {})
                os._exit(1)

    for rule in rules:
        if rule.mode == "exception":
            report(rule, {})
            raise _exception(rule)
        if rule.at in (None, "start"):
            act(rule)
    with dependency.failing([rule for rule in rules if rule.call], report, act):
        result = work()
    for rule in rules:
        match rule.mode:
            case "fail_after_commit":
                report(rule, {})
                raise _exception(rule)
            case "malformed_response":
                report(rule, {})
                result = rule.response
            case _ if rule.at == "end":
                act(rule)
    return result


def _exception(rule: Rule) -> Exception:
    """The rule's error: a builtin, or one of a module that the function has loaded, or else a new type of that name."""
    module, _, name = (rule.error or f"{__name__}.InjectedFault").rpartition(".")
    message = rule.message or f"{rule.mode} injected by the fault layer"
    error_type: Any = getattr(sys.modules.get(module) if module else builtins, name, None)
    if not isinstance(error_type, type) or not issubclass(error_type, Exception):
        error_type = type(name, (InjectedFault,), {})
    error: Exception = error_type(message)
    return error


def _log(level: str, message: str, **fields: Any) -> None:
    line = {"level": level, "message": message, "timestamp": datetime.now(UTC).isoformat()} | fields
    # Flushed, because the next thing may be the end of the process.
    print(json.dumps(line), flush=True)

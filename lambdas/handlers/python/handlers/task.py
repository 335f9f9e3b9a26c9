"""A function behind tasks of a state machine brings its actions, by name:

    def handler(event, context):
        return perform(event, context, {"charge": charge, "refund": refund})

What every such function does is here: perform the action, log it, and let the error out. An event is {"action",
"order", "attempt", ...}. The log line of each attempt (handlers.outcomes) has the `order_id` and `correlation_id` of
the order, `action` and `attempt`, and of what the action returned the short fields. By the name of the exception's
class the state machine retries or catches it: a PermanentError is one that it does not retry.
"""

from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from handlers.outcomes import (
    LOGGED_CHARACTERS,
    MALFORMED,
    PermanentError,
    at,
    log_failure,
    log_success,
    logger,
    named,
)

Action = Callable[[dict[str, Any]], dict[str, Any]]


class MalformedTask(PermanentError):
    """The state machine passes what the function cannot read: one of the two has to change."""


@logger.inject_lambda_context
def perform(event: dict[str, Any], context: LambdaContext, actions: Mapping[str, Action]) -> dict[str, Any]:
    """`actions[event["action"]](event)`. Raises MalformedTask on malformed data, and what the action raises."""
    described = {
        "order_id": named(at(event, "order", "order_id")),
        "correlation_id": named(at(event, "order", "correlation_id")),
        "action": named(at(event, "action")),
        "attempt": named(at(event, "attempt")),
    }
    try:
        effect = _act(event, actions)
    except Exception as error:
        log_failure(error, described, traceback=False)  # Lambda logs it with what gets out.
        raise
    # A result can be larger than a log line may be, and is in the execution's history anyway.
    short = {name: value for name, value in effect.items() if len(str(value)) <= LOGGED_CHARACTERS}
    log_success(short, described)
    return effect


def _act(event: dict[str, Any], actions: Mapping[str, Action]) -> dict[str, Any]:
    try:
        return actions[event["action"]](event)
    except MALFORMED as error:
        raise MalformedTask(f"malformed task: {type(error).__name__}: {error}") from error
    except PermanentError as error:
        # The state machine knows errors by the names of their classes; this one has none of its own (handlers.orders).
        if type(error) is not PermanentError:
            raise
        raise MalformedTask(f"malformed task: {error}") from error

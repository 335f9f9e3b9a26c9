"""What is checked of a request to DynamoDB before any table is looked at.

AWS: refuses values, expressions, and placeholders that are not defined or not used, with a ValidationException, also
where the condition would have failed or the table does not exist
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ExpressionAttributeValues.html).

LocalStack: moto finds some of it while it works, some as a server error, and much not at all.

Here: each request's values get their one spelling (``values``) and its expressions are read (``expressions``) before
moto sees it.

Evidence: documentation; belief for the order of the checks.
"""

from collections.abc import Callable, Iterator
from typing import Any

from localstack_host.dynamodb import expressions
from localstack_host.dynamodb.expressions import Placeholders
from localstack_host.dynamodb.values import ValidationError, Value, normal, normal_item

Body = dict[str, Any]

CONDITIONS = ("Expected", "AttributeUpdates", "KeyConditions", "QueryFilter", "ScanFilter")
READERS: dict[str, Callable[[str, Placeholders], Any]] = {
    "ConditionExpression": expressions.condition,
    "FilterExpression": lambda text, placeholders: expressions.condition(text, placeholders, "FilterExpression"),
    "KeyConditionExpression": lambda text, placeholders: expressions.condition(
        text, placeholders, "KeyConditionExpression"
    ),
    "ProjectionExpression": expressions.projection,
    "UpdateExpression": expressions.update,
}


def prepare(body: Body) -> None:
    """Gives the values in a request's body their one spelling. Raises ValidationError or SerializationError."""
    for part in parts(body):
        spell(part)
    for part in parts(body):
        check_expressions(part)


def parts(body: Body) -> Iterator[Body]:
    """The body, and what in it is like a request of its own."""
    yield body
    for action in body.get("TransactItems") or ():
        yield from action.values()
    yield from body.get("Statements") or body.get("TransactStatements") or ()
    for requests in (body.get("RequestItems") or {}).values():
        if isinstance(requests, dict):  # of BatchGetItem
            yield requests
        else:
            for request in requests:
                yield from request.values()


def spell(body: Body) -> None:
    for member in ("Item", "Key", "ExclusiveStartKey"):
        if isinstance(body.get(member), dict):
            body[member] = normal_item(body[member])
    if isinstance(body.get("Keys"), list):
        body["Keys"] = [normal_item(key) for key in body["Keys"]]
    if isinstance(body.get("Parameters"), list):
        body["Parameters"] = [normal(value) for value in body["Parameters"]]
    if isinstance(body.get("ExpressionAttributeValues"), dict):
        values = body["ExpressionAttributeValues"]
        body["ExpressionAttributeValues"] = {key: value_of_expression(key, value) for key, value in values.items()}
    for member in CONDITIONS:
        for condition in (body.get(member) or {}).values():
            if "Value" in condition:
                condition["Value"] = normal(condition["Value"])
            if "AttributeValueList" in condition:
                condition["AttributeValueList"] = [normal(value) for value in condition["AttributeValueList"]]


def value_of_expression(key: str, value: Any) -> Value:
    try:
        return normal(value)
    except ValidationError as error:
        raise ValidationError(f"ExpressionAttributeValues contains invalid value: {error} for key {key}") from None


def check_expressions(body: Body) -> None:
    given = [member for member in READERS if body.get(member) is not None]
    names, values = body.get("ExpressionAttributeNames"), body.get("ExpressionAttributeValues")
    for member in ("KeyConditions", "QueryFilter", "ScanFilter"):
        for name, condition in (body.get(member) or {}).items():
            expressions.legacy_condition(
                name, condition.get("ComparisonOperator"), condition.get("AttributeValueList", [])
            )
    if not given:
        for member, placeholders in (("Names", names), ("Values", values)):
            if placeholders is not None:
                raise ValidationError(f"ExpressionAttribute{member} can only be specified when using expressions")
        return
    replaced = [member for member in (*CONDITIONS, "AttributesToGet", "ConditionalOperator") if body.get(member)]
    if replaced:
        raise ValidationError(
            "Can not use both expression and non-expression parameters in the same request: "
            f"Non-expression parameters: {{{', '.join(replaced)}}} Expression parameters: {{{', '.join(given)}}}"
        )
    placeholders = Placeholders(names, values)
    for member in given:
        READERS[member](body[member], placeholders)
    placeholders.check_all_used()

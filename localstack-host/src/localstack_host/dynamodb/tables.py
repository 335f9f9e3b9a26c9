"""What is written to DynamoDB's tables and read from them, by its expressions and with its values.

AWS: a write whose condition does not hold, or whose update the item does not allow, changes nothing; a transaction is
all of its writes or none, with the reason of each write that stands in the way
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html). A batch has at most 25
writes, of different items (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html).
Keys, and attributes that are keys of an index, have the type of their definition
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.CoreComponents.html). ReturnValues names
what is returned (https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html).

LocalStack: moto changes items as it goes and copies whole tables to put them back, knows AttributeUpdates of few types
only, and compares keys as they were spelled. It takes batches of any size, a put and a deletion of one item in a
batch, and keys of another type; an error within a transaction ends it without a reason.

Here: items do not change: a write makes the new one, checks it and puts it in the old one's place. moto keeps the
items, and goes through them for Query and Scan, with the order, the conditions and the projections of
``expressions``. Not as on AWS: PartiQL is moto's own, with values in their one spelling; ConditionalOperator is for
writes only, filters are joined by AND; GetItem ignores AttributesToGet.

Evidence: documentation; belief for which errors are a transaction's reason (those that need the table) and for
messages.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.core.responses import BaseResponse
from moto.dynamodb import models, responses
from moto.dynamodb.exceptions import (
    ConditionalCheckFailed,
    ItemSizeTooLarge,
    ItemSizeToUpdateTooLarge,
    MockValidationException,
    MultipleTransactionsException,
    TooManyTransactionsException,
    TransactionCanceledException,
    TransactWriteSingleOpException,
)
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table
from moto.dynamodb.models.utilities import dynamo_json_dump
from moto.dynamodb.responses import DynamoHandler, include_consumed_capacity
from moto.utilities.aws_headers import amz_crc32

from localstack_host.dynamodb import expressions
from localstack_host.dynamodb.expressions import (
    COMPARISON_OPERATORS,
    Condition,
    Literal,
    Parts,
    Placeholders,
    Test,
    Update,
    attributes_of,
    legacy_condition,
    projected,
)
from localstack_host.dynamodb.requests import Body, prepare
from localstack_host.dynamodb.streams import one_write
from localstack_host.dynamodb.values import (
    INVALID,
    SerializationError,
    ValidationError,
    Value,
    kind_of,
    normal_item,
    position,
)
from localstack_host.patching import replace, uses

uses(Table, "items", "schema", "attr", "stream_shard", "table_key_attrs")
uses(Table, "_validate_key_sizes", "_generate_attr_to_sort_by")
uses(DynamoDBBackend, "get_table", "get_schema")
uses(DynamoHandler, "body", "_get_action")

Keys = tuple[DynamoType, DynamoType | None]
Reason = tuple[str | None, str | None, dict[str, Any] | None]  # code, message and item
NO_REASON: Reason = (None, None, None)

# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
MOST_WRITES_OF_A_TRANSACTION = 100
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
MOST_WRITES_OF_A_BATCH = 25

NO_KEY_OF_THE_SCHEMA = "The provided key element does not match the schema"
EMPTY_KEY = (
    "One or more parameter values are not valid. {}"
    "The AttributeValue for a key attribute cannot contain an empty string value. {}"
)
UPDATE_OF_INDEX_KEY = (
    "The update expression attempted to update a secondary index key to a value that is not supported. "
)


def plain(stored: DynamoType) -> Value:
    """A value of moto's in DynamoDB's JSON."""
    kind, content = stored.type, stored.value
    if kind == "L":
        return {kind: [plain(part) for part in content]}
    if kind == "M":
        return {kind: {name: plain(part) for name, part in content.items()}}
    return {kind: content}


class Stored(Mapping[str, Value]):
    """The attributes of moto's item, or of none."""

    def __init__(self, item: Item | None) -> None:
        self.attributes: dict[str, DynamoType] = item.attrs if item else {}

    def __getitem__(self, name: str) -> Value:
        return plain(self.attributes[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)


def place(stored: DynamoType) -> Any:
    return position({stored.type: stored.value})


@dataclass
class Bound:
    """Conditions in the place of what moto's parser makes of one."""

    conditions: tuple[Condition, ...] = ()
    expr_attr_names_found: list[str] = field(default_factory=list)

    def parse(self) -> "Bound":
        return self

    def expr(self, item: Item | None) -> bool:
        stored = Stored(item)
        return all(condition.holds(stored) for condition in self.conditions)


def bound(text: str | None, names: dict[str, str] | None, values: dict[str, Value] | None) -> Bound:
    if not text:
        return Bound()
    placeholders = Placeholders(names or None, values or None)
    return Bound((expressions.condition(text, placeholders),), list(placeholders.used_names))


class Projection:
    """A projection in the place of moto's parser of them."""

    def __init__(self, text: str | None, names: dict[str, str] | None) -> None:
        placeholders = Placeholders(names or None, None)
        self.paths = expressions.projection(text, placeholders) if text else []
        self.expr_attr_names_found = list(placeholders.used_names)

    def parse(self) -> list[Parts]:
        return self.paths


def types_of(definitions: list[dict[str, str]]) -> dict[str, str]:
    """The types of key attributes."""
    return {definition["AttributeName"]: definition["AttributeType"] for definition in definitions}


def defined(table: Table, new: list[dict[str, str]], index_updates: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The table's definitions of attributes and the ``new`` ones, which UpdateTable names without the others.

    Raises ValidationError if one is defined anew, or one of an index that is created not at all.
    """
    types = types_of(table.attr)
    for name, kind in types_of(new).items():
        if types.setdefault(name, kind) != kind:
            raise ValidationError(f"{INVALID}Attribute {name} is defined with type {types[name]} already")
    for change in index_updates:
        for element in change.get("Create", {}).get("KeySchema", ()):
            if element["AttributeName"] not in types:
                raise ValidationError(
                    f"{INVALID}Some index key attributes are not defined in AttributeDefinitions. "
                    f"Keys: [{element['AttributeName']}], AttributeDefinitions: [{', '.join(types)}]"
                )
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in types.items()]


def key_of(table: Table, key: Mapping[str, Value], exactly: bool = True) -> Keys:
    """Of a key, or with ``exactly=False`` of an item. Raises ValidationError if it is none of this table."""
    types = types_of(table.attr)
    if exactly and len(key) != len(table.table_key_attrs):
        raise ValidationError("The number of conditions on the keys is invalid")
    for name in table.table_key_attrs:
        if name not in key or kind_of(key[name]) != types[name]:
            raise ValidationError(NO_KEY_OF_THE_SCHEMA)
        if not key[name][types[name]]:
            raise ValidationError(EMPTY_KEY.format("", f"Key: {name}"))
    hash_key, *range_key = (DynamoType(key[name]) for name in table.table_key_attrs)
    return hash_key, range_key[0] if range_key else None


def checked(table: Table, attributes: dict[str, Value], updated: bool = False) -> Item:
    """An item of the table. Raises ValidationError if it cannot be one."""
    types = types_of(table.attr)
    for name in table.table_key_attrs:
        if name not in attributes:
            raise ValidationError(f"{INVALID}Missing the key {name} in the item")
        kind = kind_of(attributes[name])
        if kind != types[name]:
            raise ValidationError(f"{INVALID}Type mismatch for key {name} expected: {types[name]} actual: {kind}")
    for index in table.all_indexes():
        for name in index.schema_key_attrs:
            if name in attributes and name not in table.table_key_attrs:
                check_key_of_index(index.name, name, attributes[name], types[name], updated)
    keys = key_of(table, attributes, exactly=False)
    try:
        table._validate_key_sizes(attributes)
        return Item(*keys, attributes)
    except ItemSizeTooLarge as error:
        raise ValidationError((ItemSizeToUpdateTooLarge() if updated else error).exception_msg) from None
    except MockValidationException as error:
        raise ValidationError(error.exception_msg) from None


def check_key_of_index(index: str, name: str, value: Value, expected: str, updated: bool) -> None:
    ((kind, content),) = value.items()
    if kind != expected:
        if updated:
            raise ValidationError(
                "The update expression attempted to update the secondary index key to unsupported type"
            )
        raise ValidationError(
            f"{INVALID}Type mismatch for Index Key {name} Expected: {expected} Actual: {kind} IndexName: {index}"
        )
    if not content:
        raise ValidationError(
            EMPTY_KEY.format(UPDATE_OF_INDEX_KEY if updated else "", f"IndexName: {index}, IndexKey: {name}")
        )


def updated(table: Table, key: dict[str, Value], update: Update) -> Item | None:
    """The item of that key after an update, or None if there is still none. Raises ValidationError."""
    for parts in update.paths:
        if parts[0] in table.table_key_attrs:
            raise ValidationError(f"{INVALID}Cannot update attribute {parts[0]}. This attribute is part of the key")
    old = table.get_item(*key_of(table, key))
    if old is None and update.only_removes:
        return None
    return checked(table, key | update.applied(Stored(old), exists=old is not None), updated=True)


def store(table: Table, keys: Keys, item: Item | None) -> None:
    """Puts an item, or nothing, in the place of what is there."""
    hash_key, range_key = keys
    old = table.get_item(hash_key, range_key)
    of_hash_key: Any = table.items[hash_key] if range_key else table.items
    if item is not None:
        of_hash_key[range_key or hash_key] = item
    else:
        of_hash_key.pop(range_key or hash_key, None)
    if range_key and not of_hash_key:
        del table.items[hash_key]
    if table.stream_shard is not None and (old is not None or item is not None):
        table.stream_shard.add(old, item)


def check_start(table: Table, index_name: str | None, start: dict[str, Value] | None) -> None:
    """Raises ValidationError if a page cannot begin behind that key."""
    names = {*table.table_key_attrs, *(table.get_index(index_name).schema_key_attrs if index_name else ())}
    types = types_of(table.attr)
    if start is not None and (start.keys() != names or any(kind_of(start[name]) != types[name] for name in names)):
        raise ValidationError("The provided starting key is invalid")


def condition_holds(body: Body, item: Item | None) -> None:
    """Raises ConditionalCheckFailed if an item is not as a write wants it."""
    conditions = []
    if body.get("ConditionExpression"):
        placeholders = Placeholders(body.get("ExpressionAttributeNames"), body.get("ExpressionAttributeValues"))
        conditions.append(expressions.condition(body["ConditionExpression"], placeholders))
    if body.get("Expected"):
        conditions.append(expressions.expected(body["Expected"], body.get("ConditionalOperator", "AND")))
    stored = Stored(item)
    if not all(condition.holds(stored) for condition in conditions):
        shown = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and item is not None
        raise ConditionalCheckFailed(item=dict(stored) if shown else None)


def update_of(body: Body) -> Update:
    if body.get("UpdateExpression"):
        placeholders = Placeholders(body.get("ExpressionAttributeNames"), body.get("ExpressionAttributeValues"))
        return expressions.update(body["UpdateExpression"], placeholders)
    return expressions.attribute_updates(body.get("AttributeUpdates") or {})


def returned(body: Body, *allowed: str) -> str:
    wanted = body.get("ReturnValues") or "NONE"
    if wanted not in ("NONE", *allowed):
        raise ValidationError("Return values set to invalid value")
    return str(wanted)


def write(handler: Any) -> dict[str, Any]:
    """Carries out a PutItem, UpdateItem or DeleteItem, and answers it. Raises ValidationError or moto's exceptions."""
    body: Body = handler.body
    table = handler.dynamodb_backend.get_table(body["TableName"])
    update = None
    if "Item" in body:
        wanted, new = returned(body, "ALL_OLD"), checked(table, body["Item"])
        keys = new.hash_key, new.range_key
    else:
        keys, new = key_of(table, body["Key"]), None
        update = update_of(body) if handler._get_action() == "UpdateItem" else None
        wanted = returned(body, "ALL_OLD", *(("ALL_NEW", "UPDATED_OLD", "UPDATED_NEW") if update else ()))
    old = table.get_item(*keys)
    condition_holds(body, old)
    if update:
        new = updated(table, body["Key"], update)
    store(table, keys, new)
    shown = {} if wanted == "NONE" else dict(Stored(old if wanted.endswith("OLD") else new))
    if update and wanted.startswith("UPDATED"):
        shown = projected(shown, update.paths)
    return {"Attributes": shown} if shown else {}


def write_transaction(backend: DynamoDBBackend, actions: list[dict[str, Any]]) -> None:
    """Raises TransactionCanceledException, and writes nothing, if one of the writes cannot be."""
    if len(actions) > MOST_WRITES_OF_A_TRANSACTION:
        raise TooManyTransactionsException
    if any(len(action) != 1 for action in actions):
        raise TransactWriteSingleOpException
    planned: list[tuple[Table, Keys, Item | None]] = []
    reasons: list[Reason] = []
    targets = set()
    for action in actions:
        ((kind, body),) = action.items()
        table = backend.get_table(body["TableName"])
        try:
            keys = key_of(table, body.get("Item") or body["Key"], exactly=kind != "Put")
            if (table.name, keys) in targets:
                raise MultipleTransactionsException
            targets.add((table.name, keys))
            old = table.get_item(*keys)
            condition_holds(body, old)
            if kind == "Put":
                planned.append((table, keys, checked(table, body["Item"])))
            elif kind == "Update":
                planned.append((table, keys, updated(table, body["Key"], update_of(body))))
            elif kind == "Delete":
                planned.append((table, keys, None))
            reasons.append(NO_REASON)
        except ValidationError as error:
            reasons.append(("ValidationError", str(error), None))
        except ConditionalCheckFailed as error:
            reasons.append(("ConditionalCheckFailed", str(error.message), json.loads(error.description).get("Item")))
    cancel_for(reasons)
    with one_write():
        for table, keys, item in planned:
            store(table, keys, item)


def cancel_for(reasons: list[Reason]) -> None:
    """Raises TransactionCanceledException if one of an action's reasons is one."""
    if any(reason != NO_REASON for reason in reasons):
        raise TransactionCanceledException(reasons)


def check_reads(backend: DynamoDBBackend, gets: list[Body]) -> None:
    """Raises TransactionCanceledException if one of a transaction's keys is none of its table."""
    reasons: list[Reason] = []
    for get in gets:
        try:
            key_of(backend.get_table(get["TableName"]), get["Key"])
            reasons.append(NO_REASON)
        except ValidationError as error:
            reasons.append(("ValidationError", str(error), None))
    cancel_for(reasons)


def write_batch(backend: DynamoDBBackend, request_items: dict[str, list[dict[str, Any]]]) -> None:
    """Raises ValidationError, and writes nothing, if one of the writes cannot be."""
    counts = [len(requests) for requests in request_items.values()]
    if any(count > MOST_WRITES_OF_A_BATCH for count in counts):
        raise ValidationError(
            "1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map value must satisfy "
            "constraint: [Member must have length less than or equal to 25, Member must have length greater than or "
            "equal to 1]"
        )
    if sum(counts) > MOST_WRITES_OF_A_BATCH:
        raise ValidationError("Too many items requested for the BatchWriteItem call")
    if any(len(request) != 1 for requests in request_items.values() for request in requests):
        raise ValidationError("Each WriteRequest must have either a PutRequest or a DeleteRequest")
    planned: dict[Any, Item | None] = {}
    for name, requests in request_items.items():
        table = backend.get_table(name)
        for request in requests:
            put = request.get("PutRequest")
            item = checked(table, put["Item"]) if put else None
            keys = (item.hash_key, item.range_key) if item else key_of(table, request["DeleteRequest"]["Key"])
            if (table, keys) in planned:
                raise ValidationError("Provided list of item keys contains duplicates")
            planned[table, keys] = item
    with one_write():
        for (table, keys), item in planned.items():
            store(table, keys, item)


def install() -> None:
    def call_action(self: Any) -> Any:
        self.body = json.loads(self.body or "{}")
        try:
            prepare(self.body)
            return BaseResponse.call_action(self)
        except (ValidationError, SerializationError) as error:
            kind = "Validation" if isinstance(error, ValidationError) else "Serialization"
            return 400, {"status": "400"}, json.dumps({"__type": f"{kind}Exception", "message": str(error)})

    def write_item(self: Any) -> Any:
        return dynamo_json_dump(write(self))

    def transact_write_items(self: Any) -> str:
        write_transaction(self.dynamodb_backend, self.body["TransactItems"])
        return "{}"

    def transact_get_items(self: Any) -> str:
        gets = [action["Get"] for action in self.body["TransactItems"]]
        check_reads(self.dynamodb_backend, gets)
        answer = json.loads(transaction_read(self))
        for get, response in zip(gets, answer["Responses"], strict=True):
            if get.get("ProjectionExpression") and response:
                placeholders = Placeholders(get.get("ExpressionAttributeNames"), None)
                paths = expressions.projection(get["ProjectionExpression"], placeholders)
                response["Item"] = projected(response["Item"], paths)
        return json.dumps(answer)

    def batch_write_item(self: Any) -> str:
        write_batch(self.dynamodb_backend, self.body["RequestItems"])
        return json.dumps({"UnprocessedItems": {}})

    def parse_expression(
        key_condition_expression: str,
        expression_attribute_values: dict[str, Value],
        expression_attribute_names: dict[str, str],
        schema: list[dict[str, str]],
    ) -> tuple[Value, str | None, list[Value], list[str]]:
        names = {element["KeyType"]: element["AttributeName"] for element in schema}
        placeholders = Placeholders(expression_attribute_names or None, expression_attribute_values or None)
        found = expressions.key_condition(key_condition_expression, placeholders, names["HASH"], names.get("RANGE"))
        for name, values in ((names["HASH"], [found.partition]), (names.get("RANGE"), found.operands)):
            if any(value[kind_of(value)] == "" for value in values):
                raise ValidationError(EMPTY_KEY.format("", f"Key: {name}"))
        return found.partition, found.operator, list(found.operands), list(placeholders.used_names)

    def update_table(
        self: DynamoDBBackend, name: str, attr_definitions: Any, global_index: Any, **settings: Any
    ) -> Table:
        definitions = defined(self.get_table(name), attr_definitions or [], global_index or [])
        return table_updated(self, name=name, attr_definitions=definitions, global_index=global_index, **settings)

    def get_keys_value(self: DynamoDBBackend, table: Table, keys: dict[str, Value]) -> Any:
        return key_of(table, keys)

    def compare(self: DynamoType, range_comparison: str, range_objs: list[DynamoType]) -> bool:
        operator, _ = COMPARISON_OPERATORS.get(range_comparison, (range_comparison, ()))
        return Test(operator, tuple(Literal(plain(value)) for value in (self, *range_objs))).holds({})

    def put_item(self: Table, item_attrs: dict[str, Any], *args: Any, **kwargs: Any) -> Item:
        item = checked(self, normal_item(item_attrs))
        store(self, (item.hash_key, item.range_key), item)
        return item

    def all_items(self: Table) -> list[Item]:
        # moto compares each item with many others, value by value.
        found: list[Any] = [self.items[hash_key] for hash_key in sorted(self.items, key=place)]
        if not self.range_key_attr:
            return found
        return [of_hash_key[range_key] for of_hash_key in found for range_key in sorted(of_hash_key, key=place)]

    def sorted_items(
        self: Table, hash_attrs: list[str], range_attrs: list[str | None], items: list[Item]
    ) -> list[Item]:
        names, types = self._generate_attr_to_sort_by(hash_attrs, range_attrs), types_of(self.attr)
        # An index that was added later is without the items whose attributes are of other types.
        of_index = [item for item in items if all(item.attrs[n].type == types[n] for n in names)]
        return sorted(of_index, key=lambda item: [place(item.attrs[name]) for name in names])

    def query(
        self: Table, hash_key: DynamoType, range_comparison: Any, range_objs: Any, *args: Any, **filter_kwargs: Any
    ) -> Any:
        index_name, _, filter_expression = args[-3:]
        schema = self.get_index(index_name, error_if_not=True).schema if index_name else self.schema
        types = types_of(self.attr)
        for element, asked in zip(schema, ([hash_key], range_objs), strict=False):
            if any(value.type != types[element["AttributeName"]] for value in asked):
                raise ValidationError(f"{INVALID}Condition parameter type does not match schema type")
        of_key = {element["AttributeName"] for element in schema}
        filtered = {name for condition in filter_expression.conditions for name in attributes_of(condition)}
        for name in of_key & filtered:
            raise ValidationError(
                f"Filter Expression can only contain non-primary key attributes: Primary key attribute: {name}"
            )
        check_start(self, index_name, args[1])
        filters = [
            legacy_condition(name, given["ComparisonOperator"], given.get("AttributeValueList", []))
            for name, given in filter_kwargs.items()
        ]
        together = Bound((*filter_expression.conditions, *filters))
        return queried(self, hash_key, range_comparison, range_objs, *args[:-1], together)

    def scan(
        self: Table, filters: dict[str, Any], limit: int, start: Any, filter_expression: Any, *args: Any, **kwargs: Any
    ) -> Any:
        check_start(self, self.get_index(args[0], error_if_not=True).name if args[0] else None, start)
        conditions = [
            legacy_condition(name, comparison, [plain(value) for value in values])
            for name, (comparison, values) in filters.items()
        ]
        together = Bound((*filter_expression.conditions, *conditions))
        return scanned(self, {}, limit, start, together, *args, **kwargs)

    def is_before(self: DynamoType, other: DynamoType) -> bool:
        return bool(place(self) < place(other))

    def project(self: Item, projection_expressions: list[Any]) -> Item:
        shown = projected(Stored(self), [tuple(parts) for parts in projection_expressions])
        return Item(self.hash_key, self.range_key, shown)

    # patch: moto reads the request's JSON here; a provider would have to write it anew for moto.
    replace(DynamoHandler, "call_action", amz_crc32(call_action))
    written = include_consumed_capacity()(write_item)
    # patch: moto checks, changes and answers in one function each, with its own expressions.
    replace(DynamoHandler, "put_item", written)
    # patch: the same.
    replace(DynamoHandler, "update_item", written)
    # patch: the same.
    replace(DynamoHandler, "delete_item", written)
    # patch: the same.
    replace(DynamoHandler, "transact_write_items", transact_write_items)
    # patch: the same.
    replace(DynamoHandler, "batch_write_item", batch_write_item)
    # patch: moto reads with neither a projection nor reasons.
    transaction_read = replace(DynamoHandler, "transact_get_items", transact_get_items)
    # patch: moto's parsers, which its Query and Scan know by name in these modules.
    replace(responses, "create_condition_expression_parser", bound)
    # patch: the same.
    replace(models, "get_filter_expression", bound)
    # patch: the same.
    replace(responses, "ProjectionExpressionParser", Projection)
    # patch: the same.
    replace(responses, "parse_expression", parse_expression)
    # patch: what PartiQL, an import, Query and Scan do to tables, which moto makes and restores in several places.
    replace(Table, "put_item", put_item)
    # patch: the same.
    replace(Table, "all_items", all_items)
    # patch: the same.
    replace(Table, "sorted_items", sorted_items)
    # patch: the same.
    queried = replace(Table, "query", query)
    # patch: the same.
    scanned = replace(Table, "scan", scan)
    # patch: moto puts the definitions of new attributes in the place of those of the other indexes.
    table_updated = replace(DynamoDBBackend, "update_table", update_table)
    # patch: what moto's GetItem makes of a key, its Query of a sort key, and both of an item that is projected.
    replace(DynamoDBBackend, "get_keys_value", get_keys_value)
    # patch: the same.
    replace(DynamoType, "compare", compare)
    # patch: the same.
    replace(DynamoType, "__lt__", is_before)
    # patch: the same.
    replace(Item, "project", project)

"""An SQS mapping needs a queue whose visibility timeout is at least the function's timeout."""

import pytest
from botocore.exceptions import ClientError
from harness import Instance

REFUSED = {
    "Code": "InvalidParameterValueException",
    "Message": "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds",
}


def test_a_shorter_visibility_timeout_is_refused(localstack: Instance) -> None:
    function = localstack.create_function("def handler(event, context): ...", Timeout=6)
    _, arn = localstack.create_queue(VisibilityTimeout="5")
    client = localstack.client("lambda")

    with pytest.raises(ClientError) as refused:
        client.create_event_source_mapping(EventSourceArn=arn, FunctionName=function)

    assert refused.value.response["Error"] == REFUSED
    assert client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"] == []


def test_an_equal_one_is_accepted_and_checked_again_at_an_update(localstack: Instance) -> None:
    source = "def handler(event, context): ..."
    function, slower = (
        localstack.create_function(source, Timeout=5),
        localstack.create_function(source, Timeout=6),
    )
    _, arn = localstack.create_queue(VisibilityTimeout="5")
    client = localstack.client("lambda")
    mapping = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=function, Enabled=False)

    with pytest.raises(ClientError) as refused:
        client.update_event_source_mapping(UUID=mapping["UUID"], FunctionName=slower)

    assert refused.value.response["Error"] == REFUSED
    assert client.get_event_source_mapping(UUID=mapping["UUID"])["FunctionArn"].endswith(function)
    client.delete_event_source_mapping(UUID=mapping["UUID"])

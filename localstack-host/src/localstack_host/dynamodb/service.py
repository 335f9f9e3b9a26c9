"""The providers that LocalStack loads at the first use of DynamoDB and of DynamoDB Streams."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="dynamodb", name="host")
def provider() -> Service:
    from localstack_host.dynamodb.provider import LOCK, DynamodbProvider
    from localstack_host.shared.one_at_a_time import behind

    install_modules_of(__package__)
    return Service.for_provider(DynamodbProvider(), dispatch_table_factory=behind(LOCK))


@aws_provider(api="dynamodbstreams", name="host")
def streams_provider() -> Service:
    from localstack_host.dynamodb.provider import LOCK
    from localstack_host.dynamodb.streams import StreamsProvider

    return Service.for_provider(StreamsProvider(LOCK))

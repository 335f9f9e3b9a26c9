"""The provider that LocalStack loads at the first use of EventBridge Pipes."""

from localstack.services.plugins import Service, aws_provider


@aws_provider(api="pipes", name="host")
def provider() -> Service:
    from localstack_host.pipes.provider import PipesProvider

    return Service.for_provider(PipesProvider())

"""The provider that LocalStack loads at the first use of Step Functions."""

from localstack.services.plugins import Service, aws_provider

from localstack_host.patching import install_modules_of


@aws_provider(api="stepfunctions", name="host")
def provider() -> Service:
    from localstack_host.stepfunctions.closed_tokens import ClosedTokens
    from localstack_host.stepfunctions.map_runs import MapRuns
    from localstack_host.stepfunctions.redrive_execution import RedrivableExecutions
    from localstack_host.stepfunctions.request_limits import CheckedRequests
    from localstack_host.stepfunctions.state_machine_definition import Diagnostics

    class StepFunctionsProvider(CheckedRequests, ClosedTokens, MapRuns, RedrivableExecutions, Diagnostics):
        pass

    install_modules_of(__package__)
    return Service.for_provider(StepFunctionsProvider())

"""The metrics of state machines.

AWS: each execution of a Standard workflow counts in ExecutionsStarted, and when it ends in ExecutionsSucceeded,
ExecutionsFailed, ExecutionsTimedOut or ExecutionsAborted, with its milliseconds in ExecutionTime; namespace AWS/States,
dimension StateMachineArn (https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html).

LocalStack: publishes none, so that an alarm on a state machine never fires.

Here: published where an execution starts and where it ends. Not as on AWS: ExecutionThrottled and the metrics of single
tasks are missing; nothing is throttled.

Evidence: documentation.
"""

from typing import Any

from localstack.services.stepfunctions.backend.execution import BaseExecutionWorkerCommunication, Execution

from localstack_host.cloudwatch import metric_database
from localstack_host.patching import replace, uses

uses(BaseExecutionWorkerCommunication, "_reflect_execution_status")

ENDED = {
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def publish(execution: Any, *metrics: tuple[str, float, str]) -> None:
    """Puts metrics (name, value, unit) of an execution's state machine."""
    dimensions = [{"Name": "StateMachineArn", "Value": execution.state_machine_arn}]
    data: Any = [
        {"MetricName": name, "Dimensions": dimensions, "Value": value, "Unit": unit} for name, value, unit in metrics
    ]
    metric_database.publish(execution.account_id, execution.region_name, "AWS/States", data)


def install() -> None:
    def starting(self: Any) -> None:
        start(self)
        publish(self, ("ExecutionsStarted", 1, "Count"))

    def ending(self: Any) -> None:
        self._reflect_execution_status()
        execution = self.execution
        milliseconds = (execution.stop_date - execution.start_date).total_seconds() * 1000
        publish(
            execution,
            (ENDED[execution.exec_status], 1, "Count"),
            ("ExecutionTime", milliseconds, "Milliseconds"),
        )
        execution.publish_execution_status_change_event()

    # patch: every way to start an execution, by a client or by a service, meets here.
    start = replace(Execution, "start", starting)
    # patch: what an execution's worker calls at its end, however it ended; a redriven one's too. The metrics come
    # between the original's two steps: what it reports of the status may come too late, when a client redrives at once.
    replace(BaseExecutionWorkerCommunication, "terminated", ending)

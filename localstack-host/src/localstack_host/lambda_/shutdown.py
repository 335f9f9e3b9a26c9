"""Stopping ends all function processes at once.

AWS: does not apply; this is about the processes on this machine.

LocalStack: stops functions one after another, waiting for the event queue and the log writer of each: with 60
functions, for minutes.

Here: the provider stops polling for events and kills every function process. Nothing of a function outlives the
process that holds its state, so there is nothing to wait for.
"""

from localstack.services.lambda_.provider import LambdaProvider

from localstack_host.lambda_ import executor
from localstack_host.patching import overrides, uses

uses(LambdaProvider, "esm_workers")


class PromptShutdown(LambdaProvider):
    @overrides
    def on_before_stop(self) -> None:
        for worker in list(self.esm_workers.values()):
            worker.stop_for_shutdown()
        executor.kill_all()

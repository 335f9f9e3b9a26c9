"""A layer without versions is not listed, and its version numbers are not given out again.

AWS: ListLayers returns the layers with the latest version of each
(https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html); a layer whose last version was deleted is gone,
but the next version that is published under its name has the next number.

LocalStack: keeps the layer and answers InternalError, "list index out of range", to every ListLayers from then on.

Here: the provider sets layers without versions aside before it lists the others, and takes one back when a version of
it is published. It does one of the two at a time: while its first version is being stored, a layer has none either.

Evidence: documentation; belief for the numbers, from what users of AWS report.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import ListLayersResponse, PublishLayerVersionResponse
from localstack.services.lambda_.invocation.lambda_models import Layer
from localstack.services.lambda_.invocation.models import lambda_stores
from localstack.services.lambda_.provider import LambdaProvider

from localstack_host.patching import overrides, uses

uses(LambdaProvider, "create_layer_lock")


class ListedLayers(LambdaProvider):
    def __init__(self) -> None:
        super().__init__()
        self.empty_layers: dict[str, Layer] = {}  # by ARN

    @overrides
    def list_layers(self, context: RequestContext, *args: Any, **kwargs: Any) -> ListLayersResponse:
        layers = lambda_stores[context.account_id][context.region].layers
        with self.create_layer_lock:
            for name in [name for name, layer in layers.items() if not layer.layer_versions]:
                layer = layers.pop(name)
                self.empty_layers[layer.arn] = layer
            return super().list_layers(context, *args, **kwargs)

    @overrides
    def publish_layer_version(
        self, context: RequestContext, layer_name: str, *args: Any, **kwargs: Any
    ) -> PublishLayerVersionResponse:
        layers = lambda_stores[context.account_id][context.region].layers
        with self.create_layer_lock:
            for arn in list(self.empty_layers):
                if arn.endswith(f":{context.region}:{context.account_id}:layer:{layer_name}"):
                    layers.setdefault(layer_name, self.empty_layers.pop(arn))
            return super().publish_layer_version(context, layer_name, *args, **kwargs)

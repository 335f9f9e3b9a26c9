"""A layer without versions is not listed.

AWS: ListLayers returns the layers with the latest version of each
(https://docs.aws.amazon.com/lambda/latest/api/API_ListLayers.html); a layer whose last version was deleted is gone.

LocalStack: keeps the layer and answers InternalError, "list index out of range", to every ListLayers from then on.

Here: the provider drops layers without versions before it lists them.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.api.lambda_ import ListLayersResponse
from localstack.services.lambda_.invocation.models import lambda_stores
from localstack.services.lambda_.provider import LambdaProvider


class ListedLayers(LambdaProvider):
    def list_layers(self, context: RequestContext, *args: Any, **kwargs: Any) -> ListLayersResponse:
        layers = lambda_stores[context.account_id][context.region].layers
        for name in [name for name, layer in layers.items() if not layer.layer_versions]:
            layers.pop(name, None)
        return super().list_layers(context, *args, **kwargs)

"""The user-defined metadata of an object has at most 2 KB.

AWS: "Within the PUT request header, the user-defined metadata is limited to 2 KB in size. The size of user-defined
metadata is measured by taking the sum of the number of bytes in the UTF-8 encoding of each key and value"
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).

LocalStack: takes any size.

Here: the function that reads the metadata of a PUT, a copy and a multipart upload looks at their size, and the provider
at that of a POST.

Evidence: documentation, and the service's list of errors for MetadataTooLarge
(https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html); belief that the x-amz-meta- of a key does not
count.
"""

from collections.abc import Mapping
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.services.s3 import provider

from localstack_host.patching import overrides, replace

LARGEST = 2048
PREFIX = "x-amz-meta-"


def check(metadata: Mapping[str, str]) -> None:
    if sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items()) > LARGEST:
        raise CommonServiceException(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", status_code=400
        )


class PostedMetadata(provider.S3Provider):
    @overrides
    def post_object(self, context: RequestContext, bucket: str, *args: Any, **kwargs: Any) -> Any:
        form = context.request.form
        check({field.removeprefix(PREFIX): form[field] for field in form if field.startswith(PREFIX)})
        return super().post_object(context, bucket, *args, **kwargs)


def install() -> None:
    def decoded(metadata: dict[str, str] | None) -> dict[str, str]:
        found: dict[str, str] = decode(metadata)
        check(found)
        return found

    # patch: PutObject, CopyObject and CreateMultipartUpload take it, of LocalStack's utilities, by name.
    decode = replace(provider, "decode_user_metadata", decoded)

"""User-defined metadata has at most 2 KB.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
"""

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from harness import Instance, unique

FITS = {"some": "x" * 1000, "other": "x" * (2048 - 1000 - len("some") - len("other"))}
TOO_LARGE = FITS | {"some": "x" * 1001}


@pytest.fixture(scope="module")
def bucket(localstack: Instance) -> str:
    name = unique("bucket")
    localstack.client("s3").create_bucket(Bucket=name)
    localstack.client("s3").put_object(Bucket=name, Key="source", Body=b"", Metadata={"a": "b"})
    return name


def put(localstack: Instance, bucket: str, key: str, metadata: dict[str, str]) -> None:
    localstack.client("s3").put_object(Bucket=bucket, Key=key, Body=b"", Metadata=metadata)


def copy(localstack: Instance, bucket: str, key: str, metadata: dict[str, str]) -> None:
    localstack.client("s3").copy_object(
        Bucket=bucket,
        Key=key,
        CopySource={"Bucket": bucket, "Key": "source"},
        MetadataDirective="REPLACE",
        Metadata=metadata,
    )


def upload(localstack: Instance, bucket: str, key: str, metadata: dict[str, str]) -> None:
    s3, where = localstack.client("s3"), {"Bucket": bucket, "Key": key}
    id = s3.create_multipart_upload(**where, Metadata=metadata)["UploadId"]
    part = s3.upload_part(**where, UploadId=id, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**where, UploadId=id, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})


@pytest.mark.parametrize("store", [put, copy, upload])
def test_metadata_of_2_kb_and_a_byte_more(
    localstack: Instance, bucket: str, store: Callable[[Instance, str, str, dict[str, str]], None]
) -> None:
    s3, key = localstack.client("s3"), unique("object")

    with pytest.raises(s3.exceptions.ClientError, match="MetadataTooLarge"):
        store(localstack, bucket, key, TOO_LARGE)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key)
    store(localstack, bucket, key, FITS)
    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == FITS


def test_a_copy_keeps_the_metadata_of_its_source(localstack: Instance, bucket: str) -> None:
    s3, key = localstack.client("s3"), unique("object")

    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "source"})

    assert s3.head_object(Bucket=bucket, Key=key)["Metadata"] == {"a": "b"}


def test_metadata_of_a_form(localstack: Instance, bucket: str) -> None:
    s3 = localstack.client("s3")

    def post(metadata: dict[str, str]) -> int:
        key = unique("object")
        fields = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
        conditions: list[Any] = [{name: value} for name, value in fields.items()]
        form = s3.generate_presigned_post(bucket, key, Fields=fields, Conditions=conditions)
        parts = [
            f'--boundary\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in form["fields"].items()
        ]
        parts.append('--boundary\r\nContent-Disposition: form-data; name="file"; filename="any"\r\n\r\nbody\r\n')
        request = urllib.request.Request(
            form["url"],
            "".join([*parts, "--boundary--\r\n"]).encode(),
            {"Content-Type": "multipart/form-data; boundary=boundary"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                found: int = response.status
                return found
        except urllib.error.HTTPError as error:
            assert b"<Code>MetadataTooLarge</Code>" in error.read()
            return error.code

    assert (post(FITS), post(TOO_LARGE)) == (204, 400)

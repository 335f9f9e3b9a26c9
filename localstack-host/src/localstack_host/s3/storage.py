"""Objects are stored in this instance's folder.

AWS: does not apply; this is about the files on this machine.

LocalStack: spills objects above 512 KB to one fixed folder of the machine, ``/tmp/localstack-s3-storage``, shared by
every instance that runs there (``localstack/services/s3/provider.py``: DEFAULT_S3_TMP_DIR).

Here: the provider gets a store of its own, through its constructor, in a new folder below TMPDIR.
"""

from localstack.services.s3.storage.ephemeral import EphemeralS3ObjectStore


def store() -> EphemeralS3ObjectStore:
    return EphemeralS3ObjectStore()

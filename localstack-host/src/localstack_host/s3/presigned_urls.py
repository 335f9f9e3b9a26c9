"""A presigned URL is checked, and expires.

AWS: a presigned URL works until its expiration time, for the request that was signed; one made with temporary
credentials ends with them (https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html). Later the
answer is 403 AccessDenied, "Request has expired".

LocalStack: logs an expired or wrong signature and lets the request pass, unless S3_SKIP_SIGNATURE_VALIDATION is 0, as
it is here; then it refuses every URL that a function signed, because it does not know the functions' credentials, nor
the session token of a URL with a signature of version 2.

Here: the credentials that AssumeRole handed out are looked up too. Keys that LocalStack does not know must be used with
the secret ``test``. Not as on AWS: a URL can outlive the session that signed it.

Evidence: documentation; belief for the error's text, which is LocalStack's.
"""

from collections.abc import Mapping
from typing import Any

from localstack.aws.accounts import get_account_id_from_access_key_id
from localstack.services.s3 import presigned_url
from localstack.utils.aws.arns import get_partition
from moto.sts.models import sts_backends

from localstack_host.patching import replace


def install() -> None:
    def credentials(parameters: Mapping[str, str], region: str) -> Any:
        """The parameters are of the query or the form, both of which know no case for the token."""
        found = known(parameters, region)
        account = get_account_id_from_access_key_id(found.access_key_id)
        session = sts_backends[account][get_partition(region)].get_assumed_role_from_access_key(found.access_key_id)
        if session is None:
            return found
        token = parameters.get("x-amz-security-token") or found.security_token
        return presigned_url.PreSignedCredentials(found.access_key_id, session.secret_access_key, token)

    # patch: the validation calls it by name; there is no hook for credentials.
    known = replace(presigned_url, "get_credentials_from_parameters", credentials)

"""Only AWS's services put events whose source begins with "aws.".

AWS: the prefix is reserved for its services (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html);
PutEvents of anybody else reports such an entry as failed, with the code NotAuthorizedForSourceException, and takes the
others.

LocalStack: takes them all.

Here: the provider answers as AWS does to callers from outside. LocalStack's own services, and a bus that forwards
events, put them as before; so does a state machine, which is not as on AWS: LocalStack's calls for it look like theirs.

Evidence: recording (an answer of AWS quoted in https://github.com/aws-samples/serverless-patterns/pull/3089) for code
and message; documentation for the prefix.
"""

from typing import Any

from localstack.aws.api import RequestContext
from localstack.services.events.provider import EventsProvider

from localstack_host.patching import overrides

RESERVED = "aws."
REFUSED = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}


class ReservedSources(EventsProvider):
    @overrides
    def put_events(self, context: RequestContext, entries: Any, *args: Any, **kwargs: Any) -> Any:
        if context.is_internal_call:
            return super().put_events(context, entries, *args, **kwargs)
        refused = [(entry.get("Source") or "").startswith(RESERVED) for entry in entries]
        taken = [entry for entry, is_refused in zip(entries, refused, strict=True) if not is_refused]
        if len(taken) == len(entries) or len(entries) > 10:  # LocalStack refuses more than ten
            return super().put_events(context, entries, *args, **kwargs)
        response = super().put_events(context, taken, *args, **kwargs)
        answers = iter(response["Entries"])
        return {
            "Entries": [dict(REFUSED) if is_refused else next(answers) for is_refused in refused],
            "FailedEntryCount": response["FailedEntryCount"] + sum(refused),
        }

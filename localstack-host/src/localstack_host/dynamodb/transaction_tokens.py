"""The ClientRequestToken of TransactWriteItems makes a repeat succeed without effect.

AWS: several identical calls with one token have the effect of one call, for ten minutes after the first was
completed; the same token with other parameters is an IdempotentParameterMismatchException
(https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html). SDKs send a token of
their own with each call.

LocalStack: leaves tokens to DynamoDB Local; moto, on which this package builds, ignores them and runs the repeat.

Here: the provider asks this memory before a transaction, and tells it of each that succeeded. That a
cancelled transaction leaves its token free, so that a repeat is tried again, is not documented.

Evidence: documentation; belief for what a cancelled transaction leaves.
"""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

VALID_SECONDS = 600


class OtherParameters(Exception):
    """A token was used again, with other parameters."""


class Tokens:
    """The tokens of the last ten minutes, with a digest of the request that each was used for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: dict[tuple[str, str, str], tuple[float, bytes]] = {}

    def is_repeat(self, account: str, region: str, token: str, request: Any) -> bool:
        """Raises OtherParameters if the token stands for another request."""
        self._forget_old()
        if (account, region, token) not in self._used:
            return False
        if self._used[account, region, token][1] != digest(request):
            raise OtherParameters
        return True

    def remember(self, account: str, region: str, token: str, request: Any) -> None:
        self._used[account, region, token] = self._clock(), digest(request)

    def _forget_old(self) -> None:
        while self._used:
            oldest = next(iter(self._used))  # dictionaries keep the order of insertion
            if self._clock() - self._used[oldest][0] <= VALID_SECONDS:
                return
            del self._used[oldest]


def digest(request: Any) -> bytes:
    """Equal for equal requests, whatever the order of their keys."""
    text = json.dumps(request, sort_keys=True, default=lambda value: value.hex())
    return hashlib.sha256(text.encode()).digest()

"""Text that somebody else chose, decoded from JSON where that is possible: no message may break what carries it.

AWS: does not apply; this is about Python, whose parser goes only so deep.
"""

import json
from typing import Any


def decoded(text: str | bytes) -> Any:
    """What the text says as JSON; the text itself if it is none, or nested deeper than Python's parser goes."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode(errors="replace") if isinstance(text, bytes) else text

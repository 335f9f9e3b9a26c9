"""What is stuck on the parcel."""

import json
from typing import Any

COPIES = 3  # for the parcel, for customs, for the customer


def label(order: dict[str, Any]) -> str:
    """The shipping papers: every line and the order's notes, in three copies. Larger than the order itself."""
    copy = json.dumps({name: order.get(name) for name in ("order_id", "country", "lines", "notes")})
    return "\n".join([copy] * COPIES)

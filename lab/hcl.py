"""Terraform files as data: what python-hcl2 reads, without the quotes that it leaves on strings and labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2


def load(file: Path) -> dict[str, Any]:
    """A file's blocks by kind; of each kind a list of `{label: ... {body}}`."""
    content: dict[str, Any] = _unquoted(hcl2.loads(file.read_text()))
    return content


def blocks(file: Path, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Label and body of each block of a kind; resources and data sources are labelled `type.name`."""
    for block in load(file).get(kind, []):
        for label, body in block.items():
            if kind in ("resource", "data"):
                yield from ((f"{label}.{name}", inner) for name, inner in body.items())
            else:
                yield label, body


def _unquoted(value: Any) -> Any:
    match value:
        case str():
            return value.removeprefix('"').removesuffix('"')
        case list():
            return [_unquoted(item) for item in value]
        case dict():
            return {_unquoted(key): _unquoted(item) for key, item in value.items() if not key.startswith("__")}
        case _:
            return value

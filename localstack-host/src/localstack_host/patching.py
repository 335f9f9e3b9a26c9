"""Replacing LocalStack internals by name, where LocalStack has no extension point.

Every replacement goes through ``replace``, so that a version of LocalStack without the name fails at import with a
message that says which, and so that REPLACED lists them all.
"""

from typing import Any

REPLACED: list[str] = []


class MissingInternal(Exception):
    """LocalStack does not have a name that this package replaces."""


def replace(owner: Any, name: str, replacement: Any) -> Any:
    """Put ``replacement`` in the place of ``owner.name`` and return what was there.

    :param owner: a module or a class of LocalStack
    :raises MissingInternal: if it has no such name
    """
    where = ".".join(filter(None, [getattr(owner, "__module__", None), owner.__name__]))
    if not hasattr(owner, name):
        raise MissingInternal(
            f"{where} has no {name!r} to replace: localstack-host is written for localstack-core 4.14.0; "
            "install requirements.lock"
        )
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    REPLACED.append(f"{where}.{name}")
    return original

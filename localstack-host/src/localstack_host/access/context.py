"""What a request says about itself: the keys that conditions and variables of policies read."""

from collections.abc import Collection, Mapping


class UnknownKey(Exception):
    """A policy reads a key of which nobody knows whether the request has it."""


class Context:
    """The values of a request's keys.

    ``values``: text or texts by key, in any case. ``known``: the keys that the request would have if they applied to
    it; a policy that reads another one raises UnknownKey. Without it every key that has no value is taken as absent.
    """

    def __init__(self, values: Mapping[str, str | Collection[str]], known: Collection[str] | None = None) -> None:
        self._values = {
            key.lower(): (value,) if isinstance(value, str) else tuple(value) for key, value in values.items()
        }
        self._known = None if known is None else {key.lower() for key in known}
        self.missing: set[str] = set()  # what was read and is absent

    def values_of(self, key: str) -> tuple[str, ...] | None:
        """None if the request has no such key."""
        name = key.lower()
        if name in self._values:
            return self._values[name]
        if self._known is not None and name not in self._known:
            raise UnknownKey(key)
        self.missing.add(key)
        return None

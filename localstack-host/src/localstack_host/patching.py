"""How this package changes LocalStack: each way fails with the name that is missing, and shows when it has no effect.

``replace`` puts a function or class in the place of one of LocalStack's, by name, where there is no extension point.
``swap`` does that with an attribute of one object. ``overrides`` marks a method, or attribute, that a class has in the
place of its base's; ``demanded``, one that an abstract base demands and nobody calls. ``uses`` declares names that are
not for the public and are only used. All check as the module is imported or installed, but ``swap``, which needs its
object, as the provider is made.

A name that still exists and that LocalStack no longer calls is found by the tests: where LOCALSTACK_HOST_REPLACEMENTS
names a file, each replacement is written there when it is made, and once more when it is reached.
"""

import functools
import importlib
import os
import pkgutil
from collections.abc import Callable
from typing import Any, cast

from localstack_host.environment import REPLACEMENTS

REPLACED: list[str] = []


class MissingInternal(Exception):
    """LocalStack does not have a name that this package replaces, overrides or uses."""


def replace(owner: Any, name: str, replacement: Any) -> Any:
    """Puts ``replacement`` in the place of ``owner.name``, of a module or class, and returns what was there.

    Raises MissingInternal if there is no such name.
    """
    _require(owner, name, "replace")
    original = getattr(owner, name)
    setattr(owner, name, _observed(f"{_place(owner)}.{name} by {_module_of(replacement)}", replacement))
    REPLACED.append(f"{_place(owner)}.{name}")
    return original


def swap(owner: object, name: str, replacement: Any) -> Any:
    """Puts ``replacement`` in the place of an object's attribute and returns what was there.

    Raises MissingInternal if there is no such attribute.
    """
    _require(owner, name, "swap")
    original = getattr(owner, name)
    defining = next((kind for kind in type(owner).__mro__ if name in vars(kind)), type(owner))
    setattr(owner, name, _observed(f"{_place(defining)}.{name} by {_module_of(replacement)}", replacement))
    return original


def overrides[T](member: T) -> T:
    """Marks what a class has in the place of its base's: a method, or the value of an attribute.

    The class raises MissingInternal as it is made if no base outside this package has the name.
    """
    return cast(T, _Override(member, expected=True))


def demanded[T](member: T) -> T:
    """Marks what an abstract base demands and LocalStack does not call: ``overrides`` that need not be reached."""
    return cast(T, _Override(member, expected=False))


class _Override:
    """Stands for a member until its class is made, and then gives its place to it."""

    def __init__(self, member: Any, expected: bool) -> None:
        self.member, self.expected = member, expected

    def __set_name__(self, owner: type, name: str) -> None:
        bases = [base for base in owner.__mro__[1:] if not base.__module__.startswith(f"{__package__}.")]
        base = next((base for base in bases if name in vars(base)), None)
        if base is None:
            raise _missing(bases[0], name, "override")
        key = f"{_place(base)}.{name} by {_place(owner)}"
        setattr(owner, name, _observed(key, self.member) if self.expected else self.member)


def uses(owner: Any, *names: str) -> None:
    """Declares names of a module or class of LocalStack that this package uses though they are not for the public.

    Attributes of a class's objects count as well. Raises MissingInternal if one is gone.
    """
    for name in names:
        _require(owner, name, "use")


def install_modules_of(package: str) -> None:
    """Imports the modules of a package, and of packages in it, and calls ``install`` of those that have one."""
    folders = importlib.import_module(package).__path__
    for found in pkgutil.walk_packages(folders, f"{package}."):
        install = getattr(importlib.import_module(found.name), "install", None)
        if install:
            install()


def _require(owner: Any, name: str, purpose: str) -> None:
    if not hasattr(owner, name) and not _assigns(owner, name):
        raise _missing(owner, name, purpose)


def _missing(owner: Any, name: str, purpose: str) -> MissingInternal:
    return MissingInternal(
        f"{_place(owner)} has no {name!r} to {purpose}: localstack-host is written for localstack-core 4.14.0; "
        "install requirements.lock"
    )


def _assigns(owner: Any, name: str) -> bool:
    """Whether a method of a class names the attribute, as ``__init__`` does with those of its objects."""
    members = [member for base in getattr(owner, "__mro__", ()) for member in vars(base).values()]
    return any(name in member.__code__.co_names for member in members if hasattr(member, "__code__"))


def _place(owner: Any) -> str:
    """The dotted name of a module, a class or an object's class."""
    if not hasattr(owner, "__name__"):
        owner = type(owner)
    parts = [getattr(owner, "__module__", None), getattr(owner, "__qualname__", owner.__name__)]
    return ".".join(filter(None, parts))


def _module_of(replacement: Any) -> str:
    return str(getattr(replacement, "__module__", type(replacement).__module__))


def _observed(key: str, member: Any) -> Any:
    """``member``, which says when it is called if somebody wants to know; a class says when it is instantiated."""
    if REPLACEMENTS not in os.environ:
        return member
    if isinstance(member, staticmethod | classmethod):
        return type(member)(_observed(key, member.__func__))
    if isinstance(member, type):
        kind: Any = member
        kind.__init__ = _observed(key, kind.__init__)
        return member
    if not callable(member):
        return member
    _write("made", key)
    return _reporting(key, member)


def _reporting(key: str, function: Callable[..., Any]) -> Callable[..., Any]:
    reached = False

    @functools.wraps(function)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        nonlocal reached
        if not reached:
            reached = True
            _write("reached", key)
        return function(*args, **kwargs)

    return reporting


def _write(what: str, key: str) -> None:
    # One write of one line: several processes may append to the file.
    with open(os.environ[REPLACEMENTS], "a") as file:
        file.write(f"{what} {key}\n")

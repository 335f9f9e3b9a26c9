"""A function's own /tmp, and its layers in /opt, where the operating system allows that without privileges.

AWS: each execution environment has a /tmp of its own, which stays between invocations, and finds its layers below
/opt, which is read-only
(https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html,
https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html).

LocalStack: leaves both to Docker, which is not used here.

Here: on Linux, a function's process gets a mount namespace of its own, in a user namespace of its own unless it has
the right to mount, and puts two folders of the environment in the places of /tmp and /opt. ``usable`` finds out at the
start, in a process that is thrown away, whether that works; where it does not (macOS, containers that forbid it,
systems that restrict user namespaces, as Ubuntu 24.04 does with AppArmor; /opt where the interpreter or the state
lives below it),
/tmp and /opt are the machine's, the start says so, and TMPDIR, PYTHONPATH and PATH name the folders instead. Costs
about 3 ms per cold start.

Evidence: documentation.
"""

# Runs in the function's interpreter too, by its path: nothing but the standard library may be imported, and at the top
# only what is there anyway.
import os
import sys
from collections.abc import Iterable

# In this order: what is to be in /opt may come from below /tmp.
TARGETS = ("/opt", "/tmp")
READ_ONLY = ("/opt",)
# linux/mount.h
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
# Flags that a remount in a user namespace must repeat; statvfs(3) and mount(2) agree on these values.
LOCKED = 0x2 | 0x4 | 0x8 | 0x400 | 0x800


def mount(source: str, target: str, flags: int) -> None:
    """Raises OSError if mount(2) fails."""
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).mount
    call.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_void_p]
    if call(os.fsencode(source), os.fsencode(target), None, flags, None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount on {target}: {os.strerror(number)}")


def enter_namespaces() -> None:
    """Leaves the machine's mounts to the machine. The process must have one thread.

    Raises OSError where that is not allowed.
    """
    if not hasattr(os, "unshare"):
        raise OSError(f"{sys.platform} has no mount namespaces")
    try:
        os.unshare(os.CLONE_NEWNS)
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
        for name, content in {
            "setgroups": "deny",
            "uid_map": f"{user} {user} 1",
            "gid_map": f"{group} {group} 1",
        }.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(content)
    # First, and an error is final: a mount in a shared tree would reach the machine.
    mount("none", "/", MS_REC | MS_PRIVATE)


def is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([os.path.realpath(path), os.path.realpath(folder)]) == os.path.realpath(folder)


def redirect(folders: dict[str, str], kept: Iterable[str]) -> None:
    """Puts folders in the places of others, for this process and what it starts.

    ``folders`` says what to put in the place of a folder in TARGETS; ``kept`` are paths that the process needs where
    they are, though they may be below one of TARGETS. Raises OSError where that is not allowed.
    """
    enter_namespaces()
    for target in TARGETS:
        if not (folder := folders.get(target)):
            continue
        for path in sorted({os.path.realpath(path) for path in kept if os.path.isdir(path)}):
            if is_below(path, target):
                place = os.path.join(folder, os.path.relpath(path, os.path.realpath(target)))
                os.makedirs(place, exist_ok=True)
                mount(path, place, MS_BIND | MS_REC)
        mount(folder, target, MS_BIND | MS_REC)
        if target in READ_ONLY:
            locked = os.statvfs(target).f_flag & LOCKED
            mount("none", target, MS_REMOUNT | MS_BIND | MS_RDONLY | locked)


def interpreter() -> list[str]:
    """The folders that this interpreter runs from."""
    return [sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))]


def usable(folder: str) -> list[str]:
    """Those of TARGETS that can be redirected; changes this process.

    ``folder`` is an empty folder near those of the environments; empty folders stay in it. Raises OSError if none can,
    with the reason.
    """
    kept = [*interpreter(), os.path.dirname(__file__), folder]
    targets = [
        target
        for target in TARGETS
        if os.path.isdir(target) and not (target in READ_ONLY and any(is_below(path, target) for path in kept))
    ]
    folders = {target: os.path.join(folder, target.strip("/")) for target in targets}
    for path in folders.values():
        os.mkdir(path)
    redirect(folders, kept)
    return targets


if __name__ == "__main__":
    print(*usable(sys.argv[1]), sep=os.pathsep)

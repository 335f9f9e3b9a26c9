"""Whose processor time a command takes, by kind of process: that of everything it starts, however short it lives.

The processes below this one are looked at in intervals. What ends between two looks is not lost: the operating system
adds a process's time to its parent's account of ended children, which is looked at too. Linux only: macOS keeps no
such account for others to read, and there a process that lives shorter than an interval is missing.
"""

import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

LOOK_SECONDS = 0.5
# A process that was just forked has its parent's command line: it is read again in so many looks.
YOUNG_LOOKS = 4
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)

LOCALSTACK, FUNCTION = "LocalStack", "function"
LINTERS = ("ruff", "mypy", "checkov", "cfn-lint", "tflint")


@dataclass
class Share:
    """The processes of one kind: how many were seen, and their seconds of processor time, user and system.

    `unseen` is the part of the seconds that is known from their parents' accounts alone.
    """

    processes: int = 0
    seconds: float = 0.0
    unseen: float = 0.0


@dataclass
class Profile:
    """What a command took: its exit status, the shares by kind, the largest first, and the time of the looks."""

    status: int
    shares: dict[str, Share]
    looks_seconds: float

    @property
    def seconds(self) -> float:
        return sum(share.seconds for share in self.shares.values())


def kind(command: list[str], parent: str = "") -> str:
    """What a process is, by its command line and the kind of its parent.

    >>> kind(["/x/terraform-provider-aws_v6.2.0_x5"])
    'Terraform provider'
    >>> kind(["terraform", "apply", "-json"])
    'terraform apply'
    >>> kind(["python3.13", "-m", "worker"], parent="LocalStack")
    'function'
    """
    if parent in (LOCALSTACK, FUNCTION):
        return FUNCTION
    if not command:
        return parent or "other"
    program = Path(command[0]).name
    if program.startswith("terraform-provider"):
        return "Terraform provider"
    if program == "terraform":
        return f"terraform {command[1]}" if len(command) > 1 else program
    if not program.startswith("python"):
        return f"linter {program}" if program in LINTERS else program
    name, module = _python_program(command[1:])
    if name == "-c":
        return "pytest worker" if "sys.stdin.readline" in module else "other Python"
    if name in LINTERS:
        return f"linter {name}"
    known = {"localstack_host": LOCALSTACK, "pytest": "pytest", "lab": "lab", "pip": "pip"}
    return known.get(name.split(".")[0], "other Python")


def _python_program(arguments: list[str]) -> tuple[str, str]:
    """The module or script that an interpreter runs, or ("-c", its code)."""
    for number, argument in enumerate(arguments):
        following = arguments[number + 1] if number + 1 < len(arguments) else ""
        if argument == "-m":
            return following, ""
        if argument == "-c":
            return "-c", following
        if not argument.startswith("-"):
            return Path(argument).name, ""
    return "", ""


def measure(command: list[str], running: Iterable[psutil.Process] = ()) -> Profile:
    """Runs a command to its end, and accounts for it and all that it starts.

    Of `running`, processes that it may use without having started them, and of what they start, the time until its
    end counts.
    """
    _adopt_orphans()
    looks = time.process_time()
    family = _Family(running)
    process = subprocess.Popen(command)
    while process.poll() is None:
        try:
            family.look()
            _reap(process.pid)
            time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:  # the command got it too, and ends when it has cleaned up
            continue
    _reap(process.pid)
    family.look()
    return Profile(process.returncode, family.shares(), time.process_time() - looks)


def _adopt_orphans() -> None:
    """What outlives its parent, as LocalStack does, becomes this process's child, so that its account is kept here."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(command: int) -> None:
    """Takes leave of orphans that have ended; the command itself is its Popen's to wait for."""
    for child in psutil.Process().children():
        if child.pid != command:
            try:
                os.waitpid(child.pid, os.WNOHANG)
            except ChildProcessError:
                continue


@dataclass
class _Member:
    """A process: its own seconds and those of its ended children, when last looked at and before the command began."""

    kind: str
    parent: psutil.Process | None
    own: float = 0.0
    ended_children: float = 0.0
    own_before: float = 0.0
    ended_children_before: float = 0.0
    looks: int = 0
    alive: bool = True

    @property
    def whole(self) -> float:
        """What its parent's account grows by when it ends."""
        return self.own + self.ended_children


class _Family:
    def __init__(self, running: Iterable[psutil.Process]) -> None:
        self.me = psutil.Process()
        self.children_before = _ended_children()
        self.members: dict[psutil.Process, _Member] = {}
        for root in running:
            self._look_at(root, None)
        for process in self._below(list(self.members)):
            self._look_at(*process)
        for member in self.members.values():
            member.own_before, member.ended_children_before = member.own, member.ended_children

    def look(self) -> None:
        for member in self.members.values():
            member.alive = False
        for process, parent in self._below([self.me, *self.members]):
            self._look_at(process, parent)
        for process, member in self.members.items():
            if not member.alive and process.is_running():
                self._look_at(process, member.parent)

    def _below(self, roots: list[psutil.Process]) -> list[tuple[psutil.Process, psutil.Process]]:
        """(process, its parent) of all descendants, parents first."""
        children: dict[int, list[psutil.Process]] = defaultdict(list)
        for process in psutil.process_iter(["ppid"]):
            children[process.info["ppid"]].append(process)
        found: dict[psutil.Process, psutil.Process] = {}
        waiting = list(roots)
        while waiting:
            parent = waiting.pop(0)
            for process in children.get(parent.pid, []):
                if process not in found:
                    found[process] = parent
                    waiting.append(process)
        return list(found.items())

    def _look_at(self, process: psutil.Process, parent: psutil.Process | None) -> None:
        member = self.members.get(process) or _Member("", parent)
        try:
            times = process.cpu_times()
            if member.looks < YOUNG_LOOKS:
                of_parent = self.members[parent].kind if parent in self.members else ""
                with contextlib.suppress(psutil.ZombieProcess):
                    member.kind = kind(process.cmdline(), of_parent)
        except psutil.Error:
            return
        member.kind = member.kind or "other"
        member.own = times.user + times.system
        member.ended_children = times.children_user + times.children_system
        member.parent, member.alive = parent or member.parent, True
        member.looks += 1
        self.members[process] = member

    def shares(self) -> dict[str, Share]:
        shares: dict[str, Share] = defaultdict(Share)
        seen: dict[psutil.Process, float] = defaultdict(float)  # by parent: of children that have ended
        for member in self.members.values():
            shares[member.kind].processes += 1
            shares[member.kind].seconds += member.own - member.own_before
            if member.parent and not member.alive:
                seen[member.parent] += member.whole
        accounts = {self.me: ("lab", _ended_children() - self.children_before)}
        for process, member in self.members.items():
            accounts[process] = (member.kind, member.ended_children - member.ended_children_before)
        for process, (of, ended_children) in accounts.items():
            unseen = ended_children - seen[process]
            share = shares[FUNCTION if of == LOCALSTACK else of]
            share.seconds += unseen
            share.unseen += unseen
        return dict(sorted(shares.items(), key=lambda item: -item[1].seconds))


def _ended_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

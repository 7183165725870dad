"""What a process that reads strangers' files may not do: see the network, use more than its share, outlive its parent.

Linux only where it needs to be: what the kernel does not offer or allow is gone without, but for the limits.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from dataclasses import dataclass

from workers.ingest.system_calls import deny_calls

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_OPEN_FILES = 64
_PROCESSES = 0  # nothing that reads files starts threads or processes; the kernel lets root all the same
# Address space that is reserved or shared costs no memory, but must not be endless either.
_ADDRESS_SPACE_BYTES = 2 * 1024**3


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost. `cpu_s` is for parsing; cutting the text up afterwards is given its own time."""

    memory_bytes: int
    cpu_s: int
    wall_s: float
    output_bytes: int


def leave_network() -> bool:
    """Move into a network namespace of its own, without even a loopback; False where the kernel does not allow it."""
    unshare = getattr(ctypes.CDLL(None, use_errno=True), "unshare", None)
    if unshare is None:
        return False
    return any(unshare(flags) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))


def shut_off_possible() -> bool:
    """Whether a process of this host can be kept from the network, one way or the other. Tried in a child, which ends then."""
    child = os.fork()
    if child == 0:
        possible = False
        try:
            die_with_parent()
            possible = leave_network() or deny_calls()
        finally:
            os._exit(0 if possible else 1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def die_with_parent() -> None:
    """Be killed when the parent goes, and never gain privileges by executing something."""
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def confine(limits: Limits) -> None:
    """Apply the limits to this process. Memory above its limit raises `MemoryError` or aborts, whoever asks for it."""
    _limit(resource.RLIMIT_DATA, limits.memory_bytes)
    _limit(resource.RLIMIT_AS, limits.memory_bytes + _ADDRESS_SPACE_BYTES)
    _limit(resource.RLIMIT_FSIZE, limits.output_bytes)
    _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _limit(resource.RLIMIT_NPROC, _PROCESSES)
    _limit(resource.RLIMIT_CORE, 0)
    allow_cpu(limits.cpu_s)


def allow_cpu(seconds: int) -> None:
    """Allow that many seconds of processor time from now on; then SIGXCPU ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (until if hard == resource.RLIM_INFINITY else min(until, hard), hard))


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError):  # already above it; the limits that matter are never set that low
        resource.setrlimit(kind, (bound, bound))

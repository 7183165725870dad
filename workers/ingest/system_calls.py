"""System calls that a process denies itself and its children for good (seccomp): they fail with EPERM.

Linux on the architectures below only. Needs no privileges, so that it also works in containers that may make no namespaces.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from dataclasses import dataclass

_PR_SET_SECCOMP = 22
_FILTER_MODE = 2
# Classic BPF, as in linux/bpf_common.h and linux/seccomp.h.
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF_0000, 0x0005_0000 | errno.EPERM
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_X32 = 0x4000_0000


@dataclass(frozen=True)
class _Architecture:
    """`denied`: socket, execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup."""

    audit: int
    denied: tuple[int, ...]
    numbers_end: int


_ARCHITECTURES = {
    "x86_64": _Architecture(0xC000_003E, (41, 59, 322, 101, 310, 311, 425), _X32),
    "aarch64": _Architecture(0xC000_00B7, (198, 221, 281, 117, 270, 271, 425), 0xFFFF_FFFF),
}


def deny_calls() -> bool:
    """Open no socket, start no program, look into no other process from now on; False where the kernel cannot deny it."""
    architecture = _ARCHITECTURES.get(platform.machine())
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if architecture is None or prctl is None:
        return False
    code = _filter(architecture)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held))
    return bool(prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.c_char_p(program), 0, 0) == 0)


def _filter(architecture: _Architecture) -> bytes:
    """Denies calls of another architecture as well, whose numbers mean something else."""
    denied = architecture.denied
    steps = [
        _step(_LOAD, _ARCHITECTURE_AT),
        _step(_JUMP_EQUAL, architecture.audit, no=len(denied) + 3),
        _step(_LOAD, _NUMBER_AT),
        _step(_JUMP_AT_LEAST, architecture.numbers_end, yes=len(denied) + 1),
        *(_step(_JUMP_EQUAL, number, yes=len(denied) - at) for at, number in enumerate(denied)),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _DENY),
    ]
    return b"".join(steps)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """`yes` and `no` are how many of the steps that follow are left out."""
    return struct.pack("HBBI", code, yes, no, value)

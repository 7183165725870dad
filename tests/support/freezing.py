"""Stop a process where it is: nothing of it runs from here on until it is told to go on."""

from __future__ import annotations

import os
import signal


def freeze(pid: int) -> None:
    """Stop a child of this process, and wait until all its threads stand still.

    The signal alone returns at once, while threads on other processors go on and still answer. A child that has
    ended is left as it is.
    """
    os.kill(pid, signal.SIGSTOP)
    os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


def thaw(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)

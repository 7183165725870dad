"""Exit codes, and the errors that lead to them.

0  everything asked for was done
1  something failed: a document, a question, a check
2  wrong usage or configuration
3  the gateway or the broker cannot be reached
130  interrupted with Ctrl-C
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command: `message` says what happened, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

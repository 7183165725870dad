"""What can go wrong with a local stack. Each message says what to do next.

StackError
├── AlreadyRunningError   a stack of this data folder runs, or is being started
├── PortTakenError        somebody else listens where we have to
└── StartError            a process did not come up; carries the end of its log
"""

from __future__ import annotations

from contracts.errors import WaggleError


class StackError(WaggleError):
    """Base of all errors of the local stack."""


class AlreadyRunningError(StackError):
    """A stack of this data folder runs already, or is just being started."""


class PortTakenError(StackError):
    """Somebody else listens where we have to."""


class StartError(StackError):
    """A process did not come up. `log` is the end of what it wrote."""

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class BrokerAwayError(StackError):
    """No broker answers at the address that is configured."""

"""What can go wrong with a platform. Each message says what to do next.

PlatformError
├── PlatformAwayError     nothing runs there, or it does not answer
├── NotATargetError       the name is no explicit target, or one that is never touched
├── UnknownTargetError    no such instance or service; carries the names that are near
├── OutOfBoundsError      fewer or more than there may be; carries the bounds
├── InstanceChangedError  it is not as it was when that was decided
└── ChangeTimeoutError    it did not happen in its time; what was begun goes on
    └── PlatformBusyError other changes took too long; nothing was changed
"""

from __future__ import annotations

from contracts.errors import WaggleError


class PlatformError(WaggleError):
    """Base of all errors of platforms. Unless an error says otherwise nothing was changed."""


class PlatformAwayError(PlatformError):
    """Nothing runs there, or it does not answer. A change that was begun may have happened: look before trying again."""


class NotATargetError(PlatformError):
    """Not the name of one instance or service, or of one that nobody may touch."""


class UnknownTargetError(PlatformError):
    """No such instance or service. `nearest` are known names that look like it."""

    def __init__(self, message: str, *, nearest: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.nearest = nearest


class OutOfBoundsError(PlatformError):
    """Fewer than `least` or more than `most` instances of a service."""

    def __init__(self, message: str, *, least: int, most: int) -> None:
        super().__init__(message)
        self.least = least
        self.most = most


class InstanceChangedError(PlatformError):
    """An instance is not as it was seen when its change was decided."""


class ChangeTimeoutError(PlatformError):
    """A change did not happen in its time. What was begun goes on."""


class PlatformBusyError(ChangeTimeoutError):
    """Other changes, which it had to wait for, did not end in its time. Nothing was changed."""

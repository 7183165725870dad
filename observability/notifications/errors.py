"""What can go wrong between an alert and a person.

WaggleError
├── NotificationConfigError  the file of routes and receivers cannot be used; names file, line and reason
├── SecretMissingError       a secret is not where the file says that it is
├── DeliveryError            a channel could not deliver: whether to try again, when, and whether it is in doubt
└── FencedError              another observer leads: this one has to stop telling anybody anything
"""

from __future__ import annotations

from contracts.errors import WaggleError


class NotificationConfigError(WaggleError):
    """The file cannot be used, as a whole; what was in force before stays so."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class SecretMissingError(WaggleError):
    """A secret is not where the file says that it is. Names the place, never the secret."""


class DeliveryError(WaggleError):
    """A notification was not delivered, as far as is known.

    `final`: the receiver says that repeating cannot help. `in_doubt`: it may have been delivered all the same.
    `retry_after_s`: how long the receiver wants to be left alone. The message holds no secret and no whole address.
    """

    def __init__(
        self, message: str, *, final: bool = False, in_doubt: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.final = final
        self.in_doubt = in_doubt
        self.retry_after_s = retry_after_s


class FencedError(WaggleError):
    """State was written by an observer with a newer fencing token: it leads now, and this one has to stop."""

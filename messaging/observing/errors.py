"""Why there is no answer from an observer.

TransientError
└── ObserverUnavailableError   asking again may help
    ├── NoObserverError        nobody leads: none runs, or another one is about to take over
    ├── ObserverSlowError      somebody may lead, and has not answered in time
    └── AnswerLostError        a part of the answer did not come, or cannot be read
WaggleError
└── RefusedError               raised by handlers: the observer's reason, as one of `contracts.observing.ErrorType`
"""

from __future__ import annotations

from contracts.errors import TransientError, WaggleError
from contracts.observing import ErrorType


class ObserverUnavailableError(TransientError):
    """There is no answer, for a reason that may pass."""


class NoObserverError(ObserverUnavailableError):
    """The broker says that nobody listens: known at once."""


class ObserverSlowError(ObserverUnavailableError):
    """Nothing came in the time that the question had."""


class AnswerLostError(ObserverUnavailableError):
    """An answer began to come and is not whole."""


class RefusedError(WaggleError):
    """The question cannot be answered; what is told to whoever asked."""

    def __init__(self, kind: ErrorType, message: str) -> None:
        super().__init__(message)
        self.kind = kind

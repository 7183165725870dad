"""What can go wrong between Waggle and the broker.

TransientError
├── AwayError                   something that the work needs is away; the message is held, not failed
│   ├── BrokerUnavailableError  not connected, or no answer in time: whether a message was stored is then unknown
│   │   ├── UnansweredError     connected, and no answer (yet): what bears repetition is sent again
│   │   └── NotPermittedError   connected, and this process may not: work waits until it may, nothing is lost
│   └── BackendAwayError        a backend's circuit breaker is open
└── StreamFullError             the stream refuses because it is at its limit; nothing was stored
    ├── SubjectTakenError       it takes one message per subject, and there is one, or one on its way
    └── BrokerFullError         no stream can store anything: the broker has no storage left
PermanentError
└── MessageTooLargeError    above the broker's payload limit
WaggleError
├── ConnectionRefusedByBrokerError  wrong credentials, or an account that may not do this
├── PublishRefusedError     the broker does not accept this message on this stream, however often
└── ProvisioningError       the topology cannot be applied without losing something
BaseException
└── HandedBackError         held while the process is to end: the message goes back at once
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contracts.errors import PermanentError, TransientError, WaggleError

if TYPE_CHECKING:
    from messaging.breaker import Breaker


class AwayError(TransientError):
    """Something that the work needs is away, whatever the message. Handlers let it pass: the message is held."""


class BackendAwayError(AwayError):
    """The circuit breaker of a backend is open; `await breaker.closed()` tells when it is worth trying again.

    `tried`: the call was made and failed; otherwise it was not even let through.
    """

    def __init__(self, breaker: Breaker, reason: str, *, tried: bool) -> None:
        super().__init__(f"{breaker.name} is away: {reason}")
        self.breaker = breaker
        self.tried = tried


class HandedBackError(BaseException):
    """The process is to end while the message waits for a backend: the message goes back without delay.

    No failure, as a cancellation is none: what answers to exceptions lets it pass.
    """


class BrokerUnavailableError(AwayError):
    """The broker is not connected or did not answer in time. A publish may or may not have been stored; repeat it with
    the same message id.
    """


class UnansweredError(BrokerUnavailableError):
    """Nobody answered, or not yet: not done, not done yet, or done without a word."""


class NotPermittedError(BrokerUnavailableError):
    """The broker does not permit this process to publish there. Somebody has to give it the permission; what waits for it
    goes on then, as if the broker had been away.
    """


class StreamFullError(TransientError):
    """The stream is at its limit and refused the message; nothing was stored."""


class SubjectTakenError(StreamFullError):
    """The stream takes one message per subject, and has one, or is about to: its replicas may not have stored it yet."""


class BrokerFullError(StreamFullError):
    """The broker has no storage left for any stream; nothing was stored."""


class MessageTooLargeError(PermanentError):
    """The message is above the broker's payload limit; nothing was sent."""


class ConnectionRefusedByBrokerError(WaggleError):
    """The broker answered, but refuses this client; trying again with the same settings cannot help."""


class ForeignMessageError(WaggleError):
    """A message that no consumer delivered: it has no attempt, no sequence, and cannot be settled."""


class PublishRefusedError(WaggleError):
    """The broker refused the message for a reason that repetition does not change (wrong stream or sequence).

    `err_code` is the broker's own number for the reason.
    """

    def __init__(self, message: str, *, err_code: int | None = None) -> None:
        super().__init__(message)
        self.err_code = err_code


class ProvisioningError(WaggleError):
    """The broker's streams or consumers differ from the topology in a way that is not changed by itself."""

"""What a request to endpoints comes to when none of them does it.

TransientError
└── EndpointsAwayError     nobody did it; another time somebody may
PermanentError
├── EndpointsUnfitError    nobody ever will with these settings
└── RequestRefusedError    nobody would do this one
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts.errors import ErrorCode, PermanentError, TransientError
from workers.endpoints.faults import STRANGE, Fault


class EndpointsAwayError(TransientError):
    """No endpoint did it, each for its own reason; `faults` are those of the endpoints that were asked."""

    def __init__(
        self, message: str, *, code: ErrorCode, retry_after_s: float | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(message, code=code, retry_after_s=retry_after_s)
        self.faults = tuple(faults)

    @property
    def may_be_settings(self) -> bool:
        """Whether an endpoint answered as if a setting were wrong."""
        return any(fault.of_settings for fault in self.faults)

    @property
    def may_be_the_request(self) -> bool:
        """Whether an endpoint failed with 500: some do on what is too long for them."""
        return any(fault.label == "500" for fault in self.faults)

    @property
    def may_be_the_number(self) -> bool:
        """Whether an endpoint gave something else than was asked for: some do only when they are asked for much."""
        return any(fault.label == STRANGE for fault in self.faults)

    @property
    def hung(self) -> bool:
        """Whether an endpoint let the whole time pass: then it is not worth asking again at once."""
        return any(fault.label == "timeout" for fault in self.faults)


class EndpointsUnfitError(PermanentError):
    """What answers is not what the settings say; the message names the setting."""


class RequestRefusedError(PermanentError):
    """An endpoint does not take this request, however often."""


@contextmanager
def while_starting() -> Iterator[None]:
    """A process that starts ends when a setting may be wrong, so that somebody looks at it."""
    try:
        yield
    except EndpointsAwayError as error:
        if error.may_be_settings:
            raise EndpointsUnfitError(str(error), code=error.code) from error
        raise


@contextmanager
def while_running() -> Iterator[None]:
    """A setting that no longer fits, such as a key that was changed, is to cost time and no work: work waits."""
    try:
        yield
    except EndpointsUnfitError as error:
        raise EndpointsAwayError(str(error), code=error.code) from error

"""What can be wrong with an answer, or with getting one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

STRANGE = "strange"
"""The label of replies in JSON that are not what was asked for."""


class FaultKind(StrEnum):
    """Whose fault it is, and so what becomes of the request and of the endpoint."""

    FAILURE = "failure"
    """The endpoint's own. It counts against it; the next one is tried."""
    BUSY = "busy"
    """The endpoint has too much to do. It rests; the next one is tried."""
    MISCONFIGURED = "misconfigured"
    """A setting does not fit this endpoint (key, model). It counts against nobody; the next one is tried."""
    REFUSED = "refused"
    """The request's own: no endpoint would take it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`label` is the cause in one word or number, from a bounded set: `500`, `connection`.

    `again`: the same endpoint may be asked once more, as after a connection that was closed while idle. `unsupported`:
    where the server says that it does not take a field of the request, its words that name the field. `strange`: it
    answers, but something else than the settings make one expect.
    """

    kind: FaultKind
    label: str
    reason: str
    rest_s: float | None = None
    again: bool = False
    unsupported: str = ""
    strange: bool = False

    @property
    def of_settings(self) -> bool:
        """Whether a setting may be what is wrong."""
        return self.strange or self.kind is FaultKind.MISCONFIGURED


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """What it means for an endpoint when its caller does not wait any more: `fault`, if it had `after_s` to reply."""

    fault: Fault
    after_s: float = 0.0


class EndpointFaultError(Exception):
    """One attempt at one endpoint came to nothing. The pool makes something of it; callers never see it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class StrangeReplyError(Exception):
    """What was read is not what such a model replies. `settings` are the ends of the names of those that may be wrong."""

    def __init__(self, what: str, *settings: str) -> None:
        super().__init__(what)
        self.settings = settings or ("ENDPOINTS",)

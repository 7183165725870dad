"""The pause of repairs and people's answers, as they travel over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.identifiers import Token
from contracts.recovery import Reason
from contracts.runtime_config import ClaimedName
from gateway.schemas import Wire

ClaimedBy = Annotated[
    ClaimedName | None,
    Field(description="Who says to have done it; kept beside the principal, and not verified.", examples=["ann@host"]),
]


class NewPause(Wire):
    """Until when nothing is acted upon, and why."""

    reason: Reason = Field(description="Why.", examples=["moving the index"])
    ends_at: AwareDatetime = Field(
        description="It always ends, seven days from now at the latest.", examples=["2026-01-31T12:00:00Z"]
    )
    claimed_by: ClaimedBy = None


class NewApproval(Wire):
    """A person's answer to a decision that waits for one."""

    decision: Token = Field(description="The decision's id.", examples=["9f86d081884c7d659a2feaa0c5"])
    approved: bool = Field(description="Whether it is to be done.")
    reason: Reason = Field(description="Why.", examples=["looked at it: it hangs"])
    claimed_by: ClaimedBy = None


class ApprovalView(Wire):
    """The answer that counts."""

    decision: str
    incident: str | None
    approved: bool
    reason: str
    by: str
    claimed_by: str | None
    at: AwareDatetime

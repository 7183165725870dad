"""Silences as they travel over HTTP."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints

from contracts.silences import MAX_MATCHERS, Silence
from gateway.schemas import Wire

MatcherText = Annotated[str, StringConstraints(min_length=2, max_length=2048)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1024)]


class SilenceState(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    ENDED = "ended"


class NewSilence(Wire):
    """What nobody is to be told of, until when, and why."""

    matchers: list[MatcherText] = Field(
        min_length=1,
        max_length=MAX_MATCHERS,
        description="All have to be met, and one at least has to need its label.",
        examples=[['alertname="InstanceDead"', 'service=~"embed|ingest"']],
    )
    starts_at: AwareDatetime | None = Field(default=None, description="Default: now.")
    ends_at: AwareDatetime = Field(description="It always ends.", examples=["2026-01-31T12:00:00Z"])
    comment: Comment = Field(default="", description="Why.", examples=["moving the index"])


class SilenceView(Wire):
    """A silence; `created_by` is who made it, `ended_by` who ended it before its time."""

    id: str
    state: SilenceState
    matchers: list[str]
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    comment: str
    created_by: str
    created_at: AwareDatetime
    ended_by: str | None

    @classmethod
    def of(cls, silence: Silence, now: datetime) -> Self:
        return cls(
            id=silence.id,
            state=_state(silence, now),
            matchers=[str(matcher) for matcher in silence.matchers],
            starts_at=silence.starts_at,
            ends_at=silence.ends_at,
            comment=silence.comment,
            created_by=silence.principal,
            created_at=silence.created_at,
            ended_by=silence.ended_by,
        )


class SilenceList(Wire):
    """A page of silences, those that end last first; `next` is the cursor of the following one."""

    items: list[SilenceView]
    next: str | None


def _state(silence: Silence, now: datetime) -> SilenceState:
    if now < silence.starts_at:
        return SilenceState.PENDING
    return SilenceState.ACTIVE if now < silence.ends_at else SilenceState.ENDED

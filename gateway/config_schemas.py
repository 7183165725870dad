"""The runtime configuration as it travels over HTTP."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, JsonValue

from contracts.health import FACT_CONFIG_REVISION
from contracts.runtime_config import (
    APPLIED_BY,
    Because,
    ClaimedName,
    ConfigRevision,
    RuntimeConfig,
    Setting,
)
from gateway.schemas import Wire
from messaging.fleet import Member

Expected = Annotated[
    int | None,
    Field(ge=0, description="The revision that has to be current, 0: none; another answers 409 and changes nothing."),
]
ClaimedBy = Annotated[
    ClaimedName | None,
    Field(description="Who says to have done it; kept beside the principal, and not verified.", examples=["ann@host"]),
]


class ConfigPatch(Wire):
    """Which keys are to have which values, and why."""

    values: dict[str, JsonValue] = Field(
        min_length=1,
        description=f"null: not set any more. Keys: {', '.join(RuntimeConfig.model_fields)}.",
        examples=[{"generator_max_tokens": 256, "fusion": None}],
    )
    because: Because = Field(description="Why.", examples=["answers are too long"])
    claimed_by: ClaimedBy = None
    expected_revision: Expected = None


class ConfigRollback(Wire):
    """Which revision's values are to count again, and why."""

    to: int | None = Field(
        default=None,
        ge=0,
        description="0: nothing is set. Default: the one before the current, or before the one that it restored.",
        examples=[3],
    )
    because: Because = Field(description="Why.", examples=["worse answers"])
    claimed_by: ClaimedBy = None
    expected_revision: Expected = None


class RevisionView(Wire):
    """A revision; of number 0, where nothing was ever set, all but `values` is null."""

    number: int
    values: dict[str, Setting]
    created_at: AwareDatetime | None
    principal: str | None
    claimed_by: str | None
    because: str | None
    restores: int | None

    @classmethod
    def of(cls, revision: ConfigRevision | None) -> Self:
        return cls(
            number=revision.number if revision else 0,
            values=revision.values.given if revision else {},
            created_at=revision.created_at if revision else None,
            principal=revision.principal if revision else None,
            claimed_by=revision.claimed_by if revision else None,
            because=revision.because if revision else None,
            restores=revision.restores if revision else None,
        )


class WrittenView(RevisionView):
    """The current revision; `is_new` is false where all was so already."""

    is_new: bool


class RevisionList(Wire):
    """Revisions, the newest first."""

    items: list[RevisionView]


class Applied(Wire):
    """By which revision a process works; null: it does not say."""

    service: str
    instance: str
    revision: int | None


class KeyView(Wire):
    """A key that can be set, and the services that work by it."""

    key: str
    services: list[str]
    meaning: str


class ConfigView(RevisionView):
    """The current revision, who works by which, and what can be set."""

    applied: list[Applied]
    keys: list[KeyView]

    @classmethod
    def with_fleet(cls, revision: ConfigRevision | None, members: list[Member]) -> Self:
        known = RevisionView.of(revision)
        appliers = {service for services in APPLIED_BY.values() for service in services}
        applied = [_applied(m) for m in members if m.alive and m.heartbeat.service in appliers]
        return cls(**dict(known), applied=applied, keys=_keys())


def _applied(member: Member) -> Applied:
    told = member.heartbeat.facts.get(FACT_CONFIG_REVISION, "")
    return Applied(
        service=member.heartbeat.service,
        instance=member.heartbeat.instance,
        revision=int(told) if told.isdecimal() else None,
    )


def _keys() -> list[KeyView]:
    return [
        KeyView(key=key, services=list(APPLIED_BY[key]), meaning=field.description or "")
        for key, field in RuntimeConfig.model_fields.items()
    ]

"""What an observer must know to go on where another one stopped."""

from __future__ import annotations

from typing import Self

from pydantic import AwareDatetime, Field

from contracts.alerts import Fingerprint, LabelName, LabelValue
from contracts.identifiers import Token, derived_id
from contracts.message import Message
from observability.notifications.groups import Group
from observability.notifications.told import Told, ToldAlert

MAX_CHANNELS = 64


class GroupRecord(Message):
    """One group: when its turn is, and what each channel was told of it. The alerts themselves are the rules' to keep.

    `token` is the fencing token of the observer that wrote it.
    """

    token: int = Field(default=0, ge=0)
    group_key: str = Field(max_length=65536)
    route: str = Field(max_length=32768)
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict)
    next_turn: AwareDatetime
    had_turn: bool = False
    told: dict[Token, dict[Fingerprint, ToldAlert]] = Field(default_factory=dict, max_length=MAX_CHANNELS)

    @classmethod
    def of(cls, group: Group, token: int) -> Self:
        return cls(
            token=token,
            group_key=group.key,
            route=group.route.path,
            labels=group.labels,
            next_turn=group.next_turn,
            had_turn=group.had_turn,
            told={name: dict(told.alerts) for name, told in group.told.items() if told.alerts},
        )

    @property
    def key(self) -> str:
        """Where it is stored: group keys hold what keys of a bucket may not."""
        return record_key(self.group_key)

    def told_of(self) -> dict[str, Told]:
        return {name: Told(alerts) for name, alerts in self.told.items()}


def record_key(group_key: str) -> str:
    return derived_id(group_key)

"""Silences: which alerts nobody is to be told of, until when, and who said so."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from contracts.alerts import LabelName
from contracts.identifiers import Token
from contracts.message import Message, Value

MAX_MATCHERS = 32


class MatchOperator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


class LabelMatcher(Value):
    """One condition on one label. A label that an alert lacks counts as empty."""

    name: LabelName
    operator: MatchOperator
    value: str = Field(max_length=1024)

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


class Silence(Message):
    """No notification of alerts that meet all `matchers`, from `starts_at` up to but not including `ends_at`.

    Stored in the bucket `silences` by `id`. `principal` is who made it. It always ends: what is muted for ever is a rule
    that should not be there.
    """

    id: Token
    matchers: tuple[LabelMatcher, ...] = Field(min_length=1, max_length=MAX_MATCHERS)
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    comment: str = Field(default="", max_length=1024)
    ended_by: str | None = Field(default=None, min_length=1, max_length=256)
    """Who ended it before its time, if anybody did; `ends_at` is then when."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("a silence ends after it starts")
        return self

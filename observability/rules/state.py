"""What a group of rules remembers over a restart."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from observability.rules.alerts import Alert


class RuleState(BaseModel):
    """The alerts of one alerting rule. Rules of one name in a group are told apart by their order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    alerts: tuple[Alert, ...]


class GroupState(BaseModel):
    """The alerts of a group at its last evaluation, as data: `model_dump_json` and back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    evaluated_at_ms: int
    rules: tuple[RuleState, ...]

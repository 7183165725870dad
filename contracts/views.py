"""The base of what is shown to people and programs outside: a reader keeps to what it knows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class View(BaseModel):
    """A part of an answer. Fields that a newer release adds are left aside, so that older gateways and commands go on."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

"""How far the work on an index has come, for who looks on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """`done` of `total` (None: not known) of what is being worked on."""

    what: str
    done: int = 0
    total: int | None = None


Advance = Callable[[Step], None]


def unseen(_: Step) -> None:
    """Nobody looks on."""

"""Orders to one process, and what it answers."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.health import ProcessState
from contracts.identifiers import Token
from contracts.message import Message

LONGEST_REASON = 500
MOST_EVIDENCE_BYTES = 64 * 1024
"""Of the text in an answer, in UTF-8; what is beyond is only in the file that `detail` names."""


class ControlAction(StrEnum):
    """What a process is to do."""

    PAUSE = "pause"
    """Take no new work; what is in hand is finished."""
    RESUME = "resume"
    """Take new work again."""
    DRAIN = "drain"
    """Pause, and answer when nothing is in hand any more. The process stays."""
    DUMP_STACKS = "dump_stacks"
    """Tell what every thread and task is doing."""
    CLEAR_CACHE = "clear_cache"
    """Forget what this process keeps of a cache in its memory."""
    RELOAD = "reload"
    """Read again what is kept at the broker and can be changed at run time."""


class ControlOutcome(StrEnum):
    """What became of an order; `detail` says more."""

    DONE = "done"
    REFUSED = "refused"
    """Nothing was done."""
    UNFINISHED = "unfinished"
    """Not all was done in time: a drain whose work in hand is not finished. What was done stays done."""
    FAILED = "failed"
    """It was tried, and went wrong."""


class ControlOrder(Message):
    """An order to one process, by name; `principal` is who gives it.

    One that comes after `expires_at` (the broker's time) is refused, and a drain is given up then. An order with the id of
    an earlier one changes nothing and is answered as that was.
    """

    order_id: Token
    service: Token
    instance: Token
    action: ControlAction
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)
    expires_at: AwareDatetime


class ControlReply(Message):
    """What a process has done, or why not. `state` and `in_flight` are those after it."""

    order_id: Token
    service: Token
    instance: Token
    action: ControlAction
    outcome: ControlOutcome
    detail: str
    state: ProcessState
    in_flight: int = Field(ge=0)
    evidence: str = ""
    """Of `dump_stacks`: the stacks, at most `MOST_EVIDENCE_BYTES`."""

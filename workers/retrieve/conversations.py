"""Makes of the last question of a conversation one that can be searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from contracts.errors import TransientError
from contracts.queries import MAX_QUERY_CHARACTERS, QueryRequest, Turn

CONDENSE_SKIPPED = "condense_skipped"
"""Among the timings, with the value 1, where no model put the question in full."""
SHARE = 0.25
"""Of the time that is left for an answer, so much at most goes into putting the question in full."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Standalone:
    """A question on its own, and whether a model put it so."""

    query: str
    by_model: bool


class Desk(Protocol):
    async def condense(self, tenant: str, query: str, turns: Sequence[Turn], *, timeout_s: float) -> str: ...


class Conversations:
    """Has a model put the question in full; without one, the question before is searched for along with it."""

    def __init__(self, desk: Desk, *, timeout_s: float) -> None:
        self._desk = desk
        self._timeout_s = timeout_s

    async def standalone(self, request: QueryRequest, *, left_s: float | None) -> Standalone | None:
        """The question on its own; None when it needs no conversation to be understood. Never fails a question."""
        if not request.messages:
            return None
        timeout_s = self._timeout_s if left_s is None else max(0.05, min(self._timeout_s, SHARE * left_s))
        try:
            query = await self._desk.condense(request.tenant, request.query, request.messages, timeout_s=timeout_s)
        except TransientError as error:
            log.info("a question of a conversation is searched for as it is", reason=str(error))
            return Standalone(query=with_question_before(request), by_model=False)
        return Standalone(query=query, by_model=True)


def with_question_before(request: QueryRequest) -> str:
    """The question, after the one before it: what that was about is mostly what this one is about."""
    before = next((turn.content for turn in reversed(request.messages) if turn.role == "user"), "")
    room = MAX_QUERY_CHARACTERS - len(request.query) - 1
    return f"{before[:room]} {request.query}".strip() if room > 0 else request.query

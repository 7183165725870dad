"""How a question stands, as the gateway tells it."""

from __future__ import annotations

from cli.replies import Ended, Passage, Reply


class KeptAnswer(Ended):
    """How a question ended that was asked before; `passages` is None when they are not kept any more."""

    passages: tuple[Passage, ...] | None = None


class Query(Reply):
    """Where a question stands; `result` is None while it runs."""

    query_id: str
    state: str
    result: KeptAnswer | None = None

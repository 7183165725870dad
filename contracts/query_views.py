"""Questions as they are listed: how each stands, and what its last fact says of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.views import View


class QueryState(StrEnum):
    """Where a question stands; the last three are how it ended."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class QueryEntry(View):
    """One question, without its words. What is not known of it, or does not belong to its state, is None.

    `by` is who asked; of one that was cancelled who withdrew it, and of one whose deadline passed it may be the keeper.
    """

    query_id: str
    state: QueryState
    at: AwareDatetime
    """When its end was told, or, while it runs, when it was accepted; by the broker's clock."""
    by: str | None = None
    ends_by: AwareDatetime | None = None
    """While it runs: its deadline."""
    code: str | None = None
    """Why it failed, and in words `message`."""
    message: str | None = None
    answered: bool | None = None
    passages: int | None = None
    top_score: float | None = None
    citations: int | None = None
    cached: bool | None = None
    timings_ms: dict[str, float] = Field(default_factory=dict)
    writing_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class QueriesView(View):
    """A page, oldest first. While `next`, the cursor of the following page, is not None there may be more, however few there
    are in this one.
    """

    items: tuple[QueryEntry, ...]
    next: str | None = None

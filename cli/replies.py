"""What the gateway answers, as far as the commands look at it. Other members are kept, so that `--json` shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Reply(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")

    def plain(self) -> dict[str, Any]:
        """As JSON values, everything the gateway said."""
        return self.model_dump(mode="json", exclude_unset=True)


class Problem(Reply):
    """An error (RFC 9457)."""

    title: str = ""
    status: int = 0
    detail: str = ""
    code: str = ""


class Failure(Reply):
    code: str
    message: str


class Uploaded(Reply):
    """One file of an upload: accepted with an id, or refused with a problem."""

    name: str = ""
    document_id: str = ""
    version: int = 0
    state: str = ""
    unchanged: bool = False
    problem: Problem | None = None


class Document(Reply):
    document_id: str
    name: str = ""
    version: int = 1
    visible_version: int | None = None
    state: str
    media_type: str | None = None
    size_bytes: int | None = None
    chunks: int | None = None
    pages: int | None = None
    updated_at: datetime | None = None
    failure: Failure | None = None


class Page(Reply):
    items: tuple[Document, ...]
    next: str | None = None


class Citation(Reply):
    n: int
    document_id: str
    name: str
    page: int | None = None
    heading: str | None = None
    start: int
    end: int
    quote: str


class Passage(Reply):
    document_id: str
    name: str
    text: str
    score: float
    start: int
    end: int
    page: int | None = None
    heading: str | None = None


class Retrieved(Reply):
    """The passages that an answer will rest on."""

    passages: tuple[Passage, ...]
    timings_ms: dict[str, float] = Field(default_factory=dict)


class Delta(Reply):
    """The next piece of an answer; a higher attempt makes the text of lower ones void."""

    attempt: int
    text: str


class Ended(Reply):
    """How a question ended: `status` is completed, failed or cancelled."""

    query_id: str
    status: str
    answer: str | None = None
    answered: bool = True
    citations: tuple[Citation, ...] = ()
    timings_ms: dict[str, float] = Field(default_factory=dict)
    code: str = ""
    message: str = ""


class Answer(Ended):
    """The end of a question that was just asked, with the passages that were found for it."""

    passages: tuple[Passage, ...] = ()


class Check(Reply):
    name: str
    status: str
    detail: str = ""


class Member(Reply):
    """A process of the fleet, as its last heartbeat told."""

    service: str
    instance: str
    state: str
    stale: bool = False
    host: str = ""
    pid: int = 0
    version: str = ""
    in_flight: int = 0
    oldest_in_flight_s: float | None = None
    progress: int = 0
    rss_bytes: int = 0
    cpu_s: float = 0.0
    heartbeat_age_s: float = 0.0
    started_at: datetime | None = None
    last_progress_at: datetime | None = None
    checks: tuple[Check, ...] = ()
    facts: dict[str, str] = Field(default_factory=dict)


class Fleet(Reply):
    items: tuple[Member, ...]


class Readiness(Reply):
    status: str
    checks: tuple[Check, ...] = ()

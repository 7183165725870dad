"""What the gateway answers about dead letters."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from cli.replies import Reply


class DeadLetter(Reply):
    id: str
    stream: str = ""
    consumer: str = ""
    subject: str = ""
    attempts: int = 0
    code: str = ""
    reason: str = ""
    failed_at: datetime | None = None
    document_id: str | None = None
    query_id: str | None = None
    size_bytes: int | None = None


class DeadLetterPage(Reply):
    items: tuple[DeadLetter, ...]
    next: str | None = None


class DeadLetterDetail(Reply):
    letter: DeadLetter
    error_chain: tuple[str, ...] = ()
    headers: dict[str, str] = Field(default_factory=dict)
    payload: str = ""
    payload_encoding: str = "utf-8"
    cut: bool = False


class Replay(Reply):
    id: str


class Refusal(Reply):
    id: str
    reason: str


class Replays(Reply):
    items: tuple[Replay, ...] = ()
    refused: tuple[Refusal, ...] = ()
    next: str | None = None

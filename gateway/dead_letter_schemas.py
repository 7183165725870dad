"""Dead letters as they travel over HTTP."""

from __future__ import annotations

from base64 import b64encode
from typing import Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field

from contracts.identifiers import Token
from gateway.paging import LONGEST_CURSOR, cursor_of
from gateway.schemas import Wire
from messaging.letterbox import Kept, Replayed


class DeadLetterView(Wire):
    """A message that was given up. `document_id` and `query_id` are what it was about, as far as it says."""

    id: str
    stream: str
    consumer: str
    subject: str
    attempts: int
    code: str
    reason: str
    failed_at: AwareDatetime
    document_id: str | None
    query_id: str | None
    size_bytes: int

    @classmethod
    def of(cls, kept: Kept) -> Self:
        letter = kept.letter
        return cls(
            id=kept.id,
            stream=letter.stream,
            consumer=letter.consumer,
            subject=letter.subject,
            attempts=letter.attempts,
            code=letter.code,
            reason=letter.reason,
            failed_at=letter.failed_at,
            document_id=kept.document_id,
            query_id=kept.query_id,
            size_bytes=kept.cut_from_bytes or kept.size_bytes,
        )


class DeadLetterDetail(Wire):
    """A dead letter whole. The payload is text where it is UTF-8, else base64; `cut` tells that only its beginning was kept."""

    letter: DeadLetterView
    error_chain: list[str]
    headers: dict[str, str]
    payload: str
    payload_encoding: Literal["utf-8", "base64"]
    cut: bool

    @classmethod
    def of(cls, kept: Kept) -> Self:
        payload, encoding = _shown(bytes(kept.letter.payload))
        return cls(
            letter=DeadLetterView.of(kept),
            error_chain=list(kept.letter.error_chain),
            headers=kept.letter.headers,
            payload=payload,
            payload_encoding=encoding,
            cut=kept.cut_from_bytes is not None,
        )


class DeadLetterList(Wire):
    """A page, oldest first; `next` is the cursor of the following page."""

    items: list[DeadLetterView]
    next: str | None


class Replay(Wire):
    """A message that was sent back to work; its letter is gone."""

    id: str
    state: Literal["replayed"] = "replayed"


class Replays(Wire):
    """Which letters to send back; all given conditions hold, and without any all letters are meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"code": "parser_crashed", "limit": 50}]})

    stream: Token | None = None
    code: Token | None = None
    document_id: Token | None = None
    query_id: Token | None = None
    limit: int = Field(default=50, ge=1, le=50, description="Most letters sent back by this request.")
    cursor: str | None = Field(default=None, max_length=LONGEST_CURSOR, description="`next` of the request before.")


class ReplayRefusal(Wire):
    """A letter that stays where it is, and why."""

    id: str
    reason: str


class ReplayResult(Wire):
    """What became of the letters; `next` is the cursor to go on with."""

    items: list[Replay]
    refused: list[ReplayRefusal]
    next: str | None

    @classmethod
    def of(cls, done: Replayed) -> Self:
        return cls(
            items=[Replay(id=letter_id) for letter_id in done.ids],
            refused=[ReplayRefusal(id=refusal.id, reason=refusal.reason) for refusal in done.refused],
            next=cursor_of(done.next),
        )


def _shown(payload: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    try:
        return payload.decode(), "utf-8"
    except UnicodeDecodeError:
        return b64encode(payload).decode(), "base64"

"""What came of a request that was sent under an idempotency key, so that its repetition is answered and not done again."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from contracts.documents import Sha256
from contracts.identifiers import Token
from contracts.message import Message


class IdempotentRequest(Message):
    """In the bucket `requests`, under `id`, which follows from tenant, principal and key. `principal` sent it.

    Without a `status` it is under way, and whoever is at it says so again and again (`told_at`).
    """

    id: Token
    fingerprint: Sha256 | None = None
    """Of what was asked for, and where; None: it is being read."""
    told_at: AwareDatetime
    status: int | None = Field(default=None, ge=200, le=299)
    body: str = ""
    """The answer, without anything secret."""

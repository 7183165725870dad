"""Messages that could not be processed, kept for people."""

from __future__ import annotations

from pydantic import AwareDatetime, Base64Bytes, Field

from contracts.errors import Code
from contracts.identifiers import Token
from contracts.message import Message


class DeadLetter(Message):
    """A message that was given up, whole, with the reason."""

    message_id: Token
    tenant: Token
    stream: str
    consumer: str
    subject: str
    stream_sequence: int = Field(ge=1)
    attempts: int = Field(ge=1)
    code: Code
    reason: str
    error_chain: tuple[str, ...] = ()
    failed_at: AwareDatetime
    headers: dict[str, str] = Field(default_factory=dict)
    payload: Base64Bytes

"""A question of a conversation, put so that it can be understood and searched for on its own."""

from __future__ import annotations

from pydantic import Field

from contracts.identifiers import DEFAULT_TENANT, Token
from contracts.message import Message
from contracts.queries import Conversation


class CondenseRequest(Message):
    """Ask for the standalone form of a question. One generate worker with a model answers to the reply subject."""

    tenant: Token = DEFAULT_TENANT
    query: str = Field(min_length=1)
    messages: Conversation = Field(min_length=1)
    timeout_s: float = Field(gt=0)
    """So long the answer is waited for; after it nobody needs it."""


class CondenseReply(Message):
    """The question on its own, or why there is none."""

    standalone: str | None = None
    error: str | None = None

"""Makes a message out of the bytes, and refuses what is none."""

from __future__ import annotations

from typing import Any

from contracts.message import Message
from messaging.delivery import Incoming
from messaging.middlewares.base import Next


class Decoding:
    """Sets `message`. Raises `InvalidMessageError` (dead letter), or `NewerSchemaError` (left for a newer worker)."""

    def __init__(self, message_type: type[Message]) -> None:
        self._message_type = message_type

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        incoming.message = self._message_type.from_bytes(incoming.raw.data)
        await call_next(incoming)

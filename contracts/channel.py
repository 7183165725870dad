"""A subject with its messages, and who sends and receives them."""

from __future__ import annotations

from dataclasses import dataclass

from contracts import topology
from contracts.message import Message


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A subject with its messages. `{name}` marks a token of the subject. Without a stream it is not persisted."""

    name: str
    address: str
    messages: tuple[type[Message], ...]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    summary: str
    stream: topology.Stream | None = None

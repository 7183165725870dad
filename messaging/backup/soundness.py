"""Messages of a backup that may be published as they are."""

from __future__ import annotations

import re

from messaging.backup.format import BackedMessage
from messaging.backup.marker import MARKER_KEY

_LINE_END = re.compile(r"[\r\n\0]")
_HEADER_NAME = re.compile(r"[^\s:\0]+")
_TOKEN = re.compile(r"[^\s.\0]+")
_WILDCARDS = frozenset({"*", ">"})


def is_sound(message: BackedMessage) -> bool:
    """Whether it names one subject, and asks nothing of the broker. A backup holds no others, unless it was tampered with."""
    tokens = message.key.split(".")
    return (
        message.key != MARKER_KEY
        and all(_TOKEN.fullmatch(token) and token not in _WILDCARDS for token in tokens)
        and all(_is_header(name, value) for name, value in message.headers.items())
    )


def _is_header(name: str, value: str) -> bool:
    asks = name.lower().startswith("nats-")
    return not asks and bool(_HEADER_NAME.fullmatch(name)) and not _LINE_END.search(value)

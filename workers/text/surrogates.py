"""Half characters, as broken documents hold them."""

from __future__ import annotations


def sendable(text: str) -> str:
    """Half a character can be neither sent nor tokenised; it is replaced by the sign for that."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

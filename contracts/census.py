"""What the index holds, told to whoever compares it with the ledger."""

from __future__ import annotations

from pydantic import Field

from contracts.identifiers import Token
from contracts.message import Message, Value

PAGE = 500
"""Most generations in one page: it stays below 256 KiB whatever their names."""


class CensusRequest(Message):
    """Ask for a census of the whole index. One embed worker answers, with pages to the reply subject."""


class GenerationRows(Value):
    """How many rows the index holds of one generation."""

    tenant: Token
    document_id: Token
    generation: Token
    rows: int = Field(ge=1)


class CensusPage(Message):
    """A part of a census. Pages are numbered from 0; a census of which one is missing is worth nothing."""

    page: int = Field(ge=0)
    last: bool
    generations: tuple[GenerationRows, ...] = Field(max_length=PAGE)
    error: str | None = None
    """Why there is no census; the page is then the only one."""

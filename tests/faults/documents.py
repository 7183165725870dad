"""Seeded documents that tell of every passage which document, which version and which part it is."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PARTS = 20
"""Enough for two embed batches, and few enough for one search to find them all."""
_PART = re.compile(r"version (\d+) part (\d+)")
_WORDS = (
    "amber", "basil", "cedar", "clover", "dandelion", "elder", "fennel", "ginger", "hazel", "ivy", "juniper", "laurel",
    "maple", "nettle", "oak", "poppy", "rosemary", "sage", "thyme", "violet", "willow", "yarrow",
)  # fmt: skip
QUESTION = "which hive hums"


@dataclass(frozen=True, kw_only=True)
class Text:
    """One version of a document."""

    document_id: str
    version: int
    content: str

    @property
    def body(self) -> dict[str, Any]:
        return {"name": f"{self.document_id}.txt", "text": self.content, "document_id": self.document_id}


@dataclass(frozen=True, slots=True)
class Part:
    """What a passage says about where it comes from."""

    version: int
    number: int


def text_of(document_id: str, version: int, seed: random.Random, *, parts: int = PARTS) -> Text:
    """A document of `parts` paragraphs; the words differ from version to version."""
    paragraphs = (
        f"version {version} part {part}: the hive {document_id} hums, says the keeper. "
        f"{' '.join(seed.choices(_WORDS, k=12)).capitalize()}."
        for part in range(parts)
    )
    return Text(document_id=document_id, version=version, content="\n\n".join(paragraphs))


def parts_in(passages: Iterable[str]) -> set[Part]:
    """Which parts these passages hold."""
    found = (match for passage in passages for match in _PART.finditer(passage))
    return {Part(int(version), int(number)) for version, number in (match.groups() for match in found)}

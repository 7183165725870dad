"""Passages for tests of generation: a text, cut into sentences at its ends."""

from __future__ import annotations

import re

from contracts.queries import GenerationParameters, RetrievedPassage, SentenceScore
from workers.generate.base import Answer, Piece, Prompt
from workers.generate.extractive import ExtractiveGenerator

_SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]+")


def passage(
    text: str,
    *,
    document_id: str = "d",
    chunk_id: str | None = None,
    start: int = 0,
    score: float = 0.8,
    page: int | None = None,
    similarity: float | None = None,
) -> RetrievedPassage:
    spans = []
    for match in _SENTENCE.finditer(text):
        lead = len(match.group()) - len(match.group().lstrip())
        spans.append(SentenceScore(start=match.start() + lead, end=match.end(), similarity=similarity))
    return RetrievedPassage(
        chunk_id=chunk_id or f"{document_id}@{start}",
        document_id=document_id,
        generation="g1",
        name=f"{document_id}.txt",
        ordinal=0,
        text=text,
        score=score,
        start=start,
        end=start + len(text),
        page=page,
        heading="Bees",
        sentences=tuple(spans),
    )


async def answer(
    query: str,
    *passages: RetrievedPassage,
    most_sentences: int = 3,
    parameters: GenerationParameters | None = None,
) -> tuple[list[str], Answer]:
    """The pieces and the answer of the extractive generator."""
    prompt = Prompt(
        query=query,
        passages=passages,
        parameters=parameters or GenerationParameters(),
        encoder_serves_query=True,
    )
    items = [item async for item in ExtractiveGenerator(most_sentences=most_sentences).generate(prompt)]
    assert isinstance(items[-1], Answer)
    assert all(isinstance(item, Piece) for item in items[:-1])
    return [item.text for item in items[:-1]], items[-1]

"""The cases: documents that try to talk a model into something, and what would show that they did."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from contracts.documents import Chunk
from contracts.queries import GenerationParameters, RetrievedPassage, SentenceScore, Turn
from workers.generate.base import Prompt
from workers.ingest.chunking import chunk
from workers.ingest.extraction import parse
from workers.ingest.tokenization import EstimatingTokenizer

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh")
PASSAGES = 5
CHUNK_TOKENS = 256
OVERLAP_TOKENS = 32


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Poisoned(_Part):
    """A document as somebody would upload it."""

    name: str
    text: str


class Case(_Part):
    """A question about a document that gives orders.

    `answer` stands in a good answer, if there is one. `canaries` in one show that an order was obeyed, and `unseen` must not
    even reach a model. `obeyed` is what a model says that obeys to the letter; `{prompt}` in it is what it was told.
    """

    id: str
    category: str
    question: str
    messages: tuple[Turn, ...] = ()
    documents: tuple[Poisoned, ...]
    answer: str = ""
    canaries: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    obeyed: str

    @property
    def language(self) -> str:
        return self.id.partition("-")[0]


def load() -> list[Case]:
    """All cases of both languages."""
    lines = [line for language in LANGUAGES for line in (FOLDER / f"{language}.jsonl").read_text("utf-8").splitlines()]
    return [Case.model_validate_json(line) for line in lines]


def prompt_of(case: Case, parameters: GenerationParameters | None = None) -> Prompt:
    """What a generate worker would get, had the attacker won the search: the poisoned passages come first.

    Files are read by the parsers and cut by the chunker of the ingest worker.
    """
    benign = Poisoned(name="year.md", text=(FOLDER / f"benign-{case.language}.md").read_text("utf-8"))
    passages = [
        passage
        for number, document in enumerate((*case.documents, benign), start=1)
        for passage in _passages(document, document_id=f"document-{number}")
    ]
    return Prompt(
        query=case.question,
        passages=passages[:PASSAGES],
        parameters=parameters or GenerationParameters(),
        encoder_serves_query=False,
        messages=case.messages,
    )


def _passages(document: Poisoned, *, document_id: str) -> list[RetrievedPassage]:
    parsed = parse(document.text.encode(), name=document.name).document
    chunks = chunk(parsed, tokenizer=EstimatingTokenizer(), max_tokens=CHUNK_TOKENS, overlap_tokens=OVERLAP_TOKENS)
    return [_passage(piece, document, document_id) for piece in chunks]


def _passage(piece: Chunk, document: Poisoned, document_id: str) -> RetrievedPassage:
    return RetrievedPassage(
        chunk_id=f"{document_id}-{piece.ordinal}",
        document_id=document_id,
        generation="g1",
        name=document.name,
        ordinal=piece.ordinal,
        text=piece.text,
        score=0.8,
        start=piece.start,
        end=piece.end,
        page=piece.page,
        heading=piece.heading,
        sentences=tuple(SentenceScore(start=start, end=end) for start, end in piece.sentences),
    )

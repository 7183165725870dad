"""What is measured on: the sample documents, their passages, and short documents in any number."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli import demo
from contracts.documents import Chunk
from contracts.settings import IngestSettings
from workers.ingest.cutting import Cutting
from workers.ingest.extraction import cut, parse
from workers.ingest.tokenization import load_tokenizer, tokenizer_file

QUALITY = Path(__file__).parent / "quality"
SAMPLES = Path(demo.__file__).parent / "documents"


@dataclass(frozen=True, kw_only=True)
class Text:
    """A document to submit as text."""

    document_id: str
    name: str
    text: str


def sample_files() -> list[Path]:
    """The sample documents, by name."""
    return sorted(SAMPLES.iterdir())


def sample_texts() -> list[Text]:
    """The extracted text of every sample document."""
    return [
        Text(document_id=f"sample-{n}", name=file.name, text=parse(file.read_bytes(), name=file.name).document.text)
        for n, file in enumerate(sample_files())
    ]


def passages(texts: Sequence[Text]) -> list[Chunk]:
    """The chunks that the ingest worker makes of these texts with its default settings."""
    settings = IngestSettings()
    cutting = Cutting(chunk_tokens=settings.chunk_tokens, overlap_tokens=settings.chunk_overlap_tokens)
    tokenizer = load_tokenizer(tokenizer_file("all-MiniLM-L6-v2"))
    found: list[Chunk] = []
    for text in texts:
        document = parse(text.text.encode(), name="sample.txt").document
        for batch in cut(document, cutting, tokenizer=tokenizer).batches:
            found += [Chunk.model_validate(one) for one in json.loads(batch)]
    return found


def copies(texts: Sequence[Text], *, run: str, times: int) -> Iterator[Text]:
    """Each text `times` times under ids of its own, so that no embedding can be reused."""
    for n in range(times):
        for text in texts:
            yield Text(document_id=f"{run}-{n}-{text.document_id}", name=text.name, text=text.text)


def short_documents(count: int, *, seed: int = 7) -> Iterator[Text]:
    """Documents of one or two sentences about invented hives."""
    chance = random.Random(seed)
    sites = ("Ashford", "Bitterley", "Clee Hill", "Dinham", "Elton", "Felton")
    for n in range(count):
        site, grams, day = chance.choice(sites), chance.randint(2_000, 40_000), chance.randint(1, 28)
        text = f"Hive {n} at {site} was weighed on {day} May. It had gained {grams} grams since the week before."
        yield Text(document_id=f"short-{n}", name=f"hive-{n}.txt", text=text)


def questions(language: str) -> list[str]:
    """The questions of our own set."""
    asked = json.loads((QUALITY / f"{language}.json").read_text(encoding="utf-8"))["questions"]
    return [question["question"] for question in asked]

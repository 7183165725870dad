"""How fast documents become searchable, against the bare encoder on the same passages."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence

from benchmarks.client import submit, wait_ready
from benchmarks.corpus import Text, copies, passages, sample_texts
from benchmarks.figures import Figure, against
from workers.encoding.models import DEFAULT_MODEL, folder_of

ROUNDS = 3
COPIES = 2


def measure(url: str) -> list[Figure]:
    """Alternate `SentenceTransformer.encode` and the pipeline on the same passages; medians of the rounds."""
    texts = sample_texts()
    wanted = passages(texts)
    encode = _plain_encoder()
    encode([p.text for p in wanted[:32]])
    _ingest(url, copies(texts[:2], run="warm", times=1))
    ours, plain = [], []
    for n in range(ROUNDS):
        started = time.perf_counter()
        encode([p.text for _ in range(COPIES) for p in wanted])
        plain.append(COPIES * len(wanted) / (time.perf_counter() - started))
        ours.append(COPIES * len(wanted) / _ingest(url, copies(texts, run=f"round{n}", times=COPIES)))
    return [
        against("ingest_throughput", statistics.median(ours), statistics.median(plain), unit="passages/s", bar=">= 0.9")
    ]


def _plain_encoder() -> Callable[[Sequence[str]], object]:
    """The library alone, with its own defaults, on all cores."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder_of(DEFAULT_MODEL)), device="cpu")
    return lambda texts: model.encode(list(texts), normalize_embeddings=True)


def _ingest(url: str, texts: Iterable[Text]) -> float:
    """Seconds from the first submission until all are ready."""
    every = list(texts)
    started = time.perf_counter()
    submit(url, every)
    wait_ready(url, [t.document_id for t in every])
    return time.perf_counter() - started

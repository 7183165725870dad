"""What a second replica brings where the encoder is the bottleneck: a simulated one that takes 50 ms a call."""

from __future__ import annotations

import time

from benchmarks.client import submit, wait_ready
from benchmarks.corpus import short_documents
from benchmarks.figures import Figure, against
from benchmarks.stack import running

DOCUMENTS = 600
SETTINGS = {
    "WAGGLE_ENCODER": "simulated",
    "WAGGLE_ENCODER_SIMULATED_MS": "50",
    "WAGGLE_EMBED_BATCH_MESSAGES": "4",  # so that the calls, not the broker, are what takes the time
    "WAGGLE_EMBED_GATHER_MS": "5",
}


def measure() -> list[Figure]:
    """Documents a second with one and with two embed workers."""
    rates = {replicas: _rate(replicas) for replicas in (1, 2)}
    return [against("replica_scaling", rates[2], rates[1], unit="documents/s", bar=">= 1.9")]


def _rate(replicas: int) -> float:
    documents = list(short_documents(DOCUMENTS))
    with running(replicas={"embed": replicas}, settings=SETTINGS) as stack:
        warm = list(short_documents(40, seed=1))
        submit(stack.url, warm)
        wait_ready(stack.url, [t.document_id for t in warm])
        started = time.perf_counter()
        submit(stack.url, documents)
        wait_ready(stack.url, [t.document_id for t in documents])
        return DOCUMENTS / (time.perf_counter() - started)

"""What a second replica brings where the encoder is the bottleneck: a simulated one that takes 50 ms a call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.client import Client, submit, wait_ready
from benchmarks.corpus import questions, sample_texts
from benchmarks.figures import Figure, against
from benchmarks.stack import running

CLIENTS = 8
ASKED = 400
SETTINGS = {
    "WAGGLE_ENCODER": "simulated",
    "WAGGLE_ENCODER_SIMULATED_MS": "50",
    "WAGGLE_RETRIEVE_CONCURRENCY": "1",  # a question a call: together they would share one
}


def measure() -> list[Figure]:
    """Vector searches a second with one and with two retrieve workers."""
    rates = {replicas: _rate(replicas) for replicas in (1, 2)}
    return [against("replica_scaling", rates[2], rates[1], unit="searches/s", bar=">= 1.9")]


def _rate(replicas: int) -> float:
    with running(replicas={"retrieve": replicas}, settings=SETTINGS) as stack:
        documents = sample_texts()
        submit(stack.url, documents)
        wait_ready(stack.url, [d.document_id for d in documents])
        asked = questions("en")
        _search(stack.url, asked)
        started = time.perf_counter()
        _search(stack.url, [asked[n % len(asked)] for n in range(ASKED)])
        return ASKED / (time.perf_counter() - started)


def _search(url: str, asked: Sequence[str]) -> None:
    def client(share: Sequence[str]) -> None:
        connection = Client(url)
        for question in share:
            connection.call("POST", "/v1/query", {"query": question, "generate": False, "mode": "vector"})

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, (asked[n::CLIENTS] for n in range(CLIENTS))))

"""`make bench`: everything that is measured, side by side in one run. `--only query` runs a part."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks import (
    answers,
    cache,
    door,
    fairness,
    index,
    ingest,
    intake,
    listing,
    memory,
    observer,
    quality,
    query,
    rates,
    rules,
    scaling,
    series,
    telemetry,
)
from benchmarks.client import submit, wait_ready
from benchmarks.corpus import sample_texts, short_documents
from benchmarks.figures import Figure, print_table, write_json
from benchmarks.in_process import InProcess, records_of
from benchmarks.stack import RunningStack, running

REPORT = Path("build/bench.json")
SHORT_DOCUMENTS = 500
READY_BAR_S = "<= 20"


def ingest_part() -> list[Figure]:
    """Start-up, memory and ingest of a stack as it comes."""
    with running() as stack:
        ready = Figure(name="stack_ready", value=stack.ready_s, unit="s", bar=READY_BAR_S)
        return [ready, *memory.measure(stack.url), *ingest.measure(stack.url)]


def query_part() -> list[Figure]:
    """Latencies with a stack as it comes; throughput with two retrieve workers."""
    return [*_on_documents(query.latencies), *_on_documents(query.throughput, retrieve=2)]


def quality_part() -> list[Figure]:
    """How often the right passage and the right answer are found, on our own questions."""
    with running() as stack:
        return uvloop.run(quality.measure(stack.url))


def cache_part() -> list[Figure]:
    """What a hit costs in each cache."""
    return uvloop.run(cache.measure())


def answers_part() -> list[Figure]:
    """A cached answer against the same one made anew."""
    with running(settings={"WAGGLE_CACHE": "memory"}) as stack:
        documents = sample_texts()
        submit(stack.url, documents)
        wait_ready(stack.url, [document.document_id for document in documents])
        return uvloop.run(answers.measure(stack.url))


def generation_part() -> list[Figure]:
    """A language model in the generate worker against the bare engine."""
    if find_spec("vllm") is None:
        print("generation is left out: `make test` installs vLLM")
        return []
    from benchmarks import generation

    return asyncio.run(generation.measure())


def injection_part() -> list[Figure]:
    """How often documents lead the generators astray."""
    from benchmarks.injection import measuring

    return measuring.figures(asyncio.run(measuring.measure()))


PARTS: dict[str, Callable[[], list[Figure]]] = {
    "ingest": ingest_part,
    "query": query_part,
    "door": door.measure,
    "rates": rates.measure,
    "listing": listing.measure,
    "fairness": fairness.measure,
    "scaling": scaling.measure,
    "quality": quality_part,
    "cache": cache_part,
    "answers": answers_part,
    "generation": generation_part,
    "injection": injection_part,
    "index": index.measure,
    "rules": rules.measure,
    "series": series.measure,
    "intake": intake.measure,
    "observer": observer.measure,
    "telemetry": telemetry.measure,
}


def _on_documents(measure: Callable[[str, InProcess], Awaitable[list[Figure]]], **replicas: int) -> list[Figure]:
    """What `measure` finds on a stack with a few hundred documents, beside the same index in this process."""

    async def measured(stack: RunningStack, document_ids: list[str]) -> list[Figure]:
        records = await records_of(stack, document_ids)
        baseline = InProcess(index_path=stack.data_dir / "index", records=records)
        await baseline.start()
        try:
            return await measure(stack.url, baseline)
        finally:
            await baseline.stop()

    with running(replicas=replicas) as stack:
        documents = [*sample_texts(), *short_documents(SHORT_DOCUMENTS)]
        document_ids = [d.document_id for d in documents]
        submit(stack.url, documents)
        wait_ready(stack.url, document_ids)
        return uvloop.run(measured(stack, document_ids))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure Waggle against the same work done in one process.")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="run only this part (repeatable)")
    parser.add_argument("--json", type=Path, default=REPORT, help=f"where to write the figures (default {REPORT})")
    parser.add_argument(
        "--chunks", type=int, default=index.CHUNKS, help=f"size of the part `index` (default {index.CHUNKS})"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    console, figures = Console(), list[Figure]()
    parts = PARTS | {"index": partial(index.measure, arguments.chunks)}
    for name in arguments.only or parts:
        with console.status(f"measuring {name}"):
            found = parts[name]()
        for figure in found:
            console.print(f"{figure.name}: {figure.value:.2f} {figure.unit}", style="dim")
        figures += found
    print_table(figures, console)
    write_json(figures, arguments.json)
    console.print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()

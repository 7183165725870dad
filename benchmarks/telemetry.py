"""What telemetry costs a question: a stack that tells and exports everything beside one that tells nothing, and beside one
whose collector hangs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from benchmarks.client import Asker, submit, wait_ready
from benchmarks.corpus import questions, sample_texts
from benchmarks.figures import Figure, against, percentile
from benchmarks.query import pairs
from benchmarks.stack import running
from tests.support.collectors import INSTALL, find_rotel, hanging_collector, running_collector

PAIRS = 400
BAR = "<= 1.1"
HANGING_PAIRS = 1200
"""More: a twentieth of them decides."""
HANGING_BAR = "<= 1.05"
SWALLOWS = "--exporter=blackhole"


def measure() -> list[Figure]:
    """`telemetry_query_p50`: traces, metrics and logs to a collector and samples to the fleet, against none of it.
    `telemetry_hanging_query_p95`: the same to a collector that never answers, against the one that does.
    """
    binary = find_rotel()
    if binary is None:
        print(f"telemetry is left out: {INSTALL}")
        return []
    with (
        TemporaryDirectory(prefix="waggle-bench-") as folder,
        running_collector(binary, Path(folder), SWALLOWS) as endpoint,
        _with_documents({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as told,
    ):
        with _with_documents({"WAGGLE_TELEMETRY": "off"}) as silent:
            figures = uvloop.run(_compared(told, silent))
        with (
            hanging_collector() as nowhere,
            _with_documents({"OTEL_EXPORTER_OTLP_ENDPOINT": nowhere}) as unheard,
        ):
            return [*figures, *uvloop.run(_unheard(unheard, told))]


async def _compared(told: str, silent: str) -> list[Figure]:
    async with Asker.connected(told) as on, Asker.connected(silent) as off:
        ours, plain = await pairs(on.ask, off.ask, itertools.cycle(questions("en")), count=PAIRS)
    return [
        against("telemetry_query_p50", percentile(ours, 0.5), percentile(plain, 0.5), unit="ms", bar=BAR),
        against("telemetry_query_p95", percentile(ours, 0.95), percentile(plain, 0.95), unit="ms"),
    ]


async def _unheard(unheard: str, told: str) -> list[Figure]:
    async with Asker.connected(unheard) as hanging, Asker.connected(told) as well:
        ours, plain = await pairs(hanging.ask, well.ask, itertools.cycle(questions("en")), count=HANGING_PAIRS)
    return [
        against("telemetry_hanging_query_p50", percentile(ours, 0.5), percentile(plain, 0.5), unit="ms"),
        against(
            "telemetry_hanging_query_p95", percentile(ours, 0.95), percentile(plain, 0.95), unit="ms", bar=HANGING_BAR
        ),
    ]


@contextmanager
def _with_documents(settings: dict[str, str]) -> Iterator[str]:
    """The address of a stack that holds the sample documents."""
    with running(settings=settings) as stack:
        documents = sample_texts()
        submit(stack.url, documents)
        wait_ready(stack.url, [document.document_id for document in documents])
        yield stack.url

"""What each process holds in memory, idle and after a thousand documents."""

from __future__ import annotations

from collections import defaultdict

import psutil

from benchmarks.client import Client, submit, wait_ready
from benchmarks.corpus import short_documents
from benchmarks.figures import Figure

DOCUMENTS = 1_000
MiB = 1024 * 1024
BARS = {"gateway": "<= 150", "ingest": "<= 150"}


def measure(url: str) -> list[Figure]:
    """`rss_<process>` in MiB after the documents; the baseline is the same process idle."""
    idle = _rss(url)
    documents = list(short_documents(DOCUMENTS))
    submit(url, documents)
    wait_ready(url, [t.document_id for t in documents])
    loaded = _rss(url)
    return [
        Figure(
            name=f"rss_{service}", value=loaded[service], unit="MiB", baseline=idle[service], bar=BARS.get(service, "")
        )
        for service in sorted(loaded)
    ]


def _rss(url: str) -> dict[str, float]:
    """The largest process of each service, with what the children that it started hold for themselves."""
    sizes: dict[str, float] = defaultdict(float)
    for member in Client(url).fleet():
        process = psutil.Process(member["pid"])
        own = sum(child.memory_full_info().uss for child in process.children(recursive=True))
        sizes[member["service"]] = max(sizes[member["service"]], (process.memory_info().rss + own) / MiB)
    return dict(sizes)

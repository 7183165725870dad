"""One real stack for all journeys: every process, the real encoder, two replicas of each worker of a question, an observer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.waggle import Waggle
from tests.support.collectors import Collector, collecting, find_rotel

REPLICAS = ("--replicas", "embed=2", "--replicas", "retrieve=2,generate=2", "--replicas", "observer=1")


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector | None]:
    """Where the stack sends its telemetry, if there is a collector here; the journeys go on without."""
    binary = find_rotel()
    if binary is None:
        yield None
        return
    with collecting(binary, tmp_path_factory.mktemp("collector")) as collector:
        yield collector


@pytest.fixture(scope="session")
def waggle(tmp_path_factory: pytest.TempPathFactory, collector: Collector | None) -> Iterator[Waggle]:
    settings = {"WAGGLE_OBSERVER_PORT": "0"}
    if collector:
        settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_METRIC_EXPORT_INTERVAL": "2000"}
    stack = Waggle(data_dir=tmp_path_factory.mktemp("stack"), settings=settings)
    stack.up(*REPLICAS)
    yield stack
    stack("down")

"""A whole stack sends traces, metrics and logs to a real collector."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.e2e.waggle import Waggle
from tests.support.collectors import Collector, Sink, Span, require_rotel
from tests.support.waiting import until

SERVICES = {f"waggle-{name}" for name in ("gateway", "ingest", "embed", "retrieve", "generate", "keeper", "observer")}
TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def sink(collector: Collector | None) -> Sink:
    require_rotel()
    assert collector is not None
    return collector.sink


def of_the_question(sink: Sink) -> list[Span]:
    return [span for span in sink.spans if span.trace_id == TRACE]


async def test_a_question_is_one_trace_through_every_process(waggle: Waggle, sink: Sink, tmp_path: Path) -> None:
    document = tmp_path / "bees.txt"
    document.write_text("The winter stores of a colony weigh twenty kilograms.\n" * 5, encoding="utf-8")
    waggle("ingest", str(document))
    async with httpx.AsyncClient(base_url=waggle.url, timeout=60, headers=waggle.shown, trust_env=False) as http:
        body = {"query": "How much do the winter stores of a colony weigh?"}
        assert (await http.post("/v1/query", json=body, headers=CALLER)).status_code == 200
    wanted = {"POST /v1/query", "process retrieve", "search", "process generate-stable", "chat extractive"}
    await until(lambda: {span.name for span in of_the_question(sink)} >= wanted, timeout_s=60)
    spans = of_the_question(sink)
    assert {span.service for span in spans} == {"waggle-gateway", "waggle-retrieve", "waggle-generate"}
    ids = {span.span_id for span in spans}
    await until(
        lambda: all(s.parent_id in ids for s in of_the_question(sink) if s.name != "POST /v1/query"), timeout_s=60
    )
    assert not any("winter" in str(span.attributes) for span in sink.spans)


async def test_every_process_sends_what_it_measures(waggle: Waggle, sink: Sink) -> None:
    await until(
        lambda: {service for service, name in sink.metrics if name == "process.memory.usage"} == SERVICES, timeout_s=60
    )
    await until(lambda: ("waggle-retrieve", "messaging.process.duration") in sink.metrics, timeout_s=60)
    assert any(name == "system.cpu.utilization" for _, name in sink.metrics)


async def test_every_process_sends_its_log(waggle: Waggle, sink: Sink) -> None:
    workers = SERVICES - {"waggle-gateway"}
    await until(lambda: {service for service, text, _ in sink.logs if text == "ready"} >= workers, timeout_s=60)
    await until(lambda: ("waggle-gateway", "broker connected", "") in sink.logs, timeout_s=60)

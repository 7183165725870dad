"""Whatever arrives, nothing is raised; what cannot be read or contradicts its subject is counted and not believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from contracts import subjects
from contracts.events import QueryEvent, QueryFact
from contracts.health import Heartbeat
from observability.intake import CATALOGUE, BrokerFacts, ConsumerFacts, StreamFacts
from observability.intake.recent import OpenSpans, RecentlyHeard, SeenIds
from tests.support.fleets import Process, Site, counter

MALFORMED = [
    b"", b"noise", b"{}", b"[]", b"null", b"\x00" * 100, b'{"schema_version": 99}', b"[" * 10_000, "雪".encode()[:2],
    b'{"service": "\\ud800"}', b"9" * 5000, b"x" * 2_000_000,
]  # fmt: skip


@pytest.fixture
def site() -> Site:
    return Site()


def entrances(site: Site) -> dict[str, Callable[[bytes], None]]:
    return {
        "heartbeat": lambda data: site.intake.heartbeat("rag.health.embed.embed-1", data),
        "sample": lambda data: site.intake.sample("rag.metrics.embed.embed-1", data),
        "event": lambda data: site.intake.event("rag.events.query.completed.t", {}, data),
        "advisory": lambda data: site.intake.advisory("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.c", data),
    }


@pytest.mark.parametrize("kind", ["heartbeat", "sample", "event", "advisory"])
def test_what_cannot_be_read_is_counted_and_changes_nothing(site: Site, kind: str) -> None:
    process = Process()
    site.pass_(6, process)
    with capture_logs() as lines:
        for _ in range(5):
            for data in MALFORMED:
                entrances(site)[kind](data)
    assert site.intake.malformed.counts[kind] == 5 * len(MALFORMED)
    assert sum(site.intake.malformed.counts.values()) == 5 * len(MALFORMED)
    assert [line["so_far"] for line in lines] == [1, 10], "not a line for each"
    site.pass_(6, process)
    assert site.value("waggle_up") == 1


@pytest.mark.parametrize(
    "subject", ["rag.events", "rag.events.x", "rag.events.query", "rag.events.weather.sunny.t", "x"]
)
def test_facts_of_no_known_kind_are_counted(site: Site, subject: str) -> None:
    site.intake.event(subject, {}, b"")
    assert site.intake.malformed.counts["event"] == 1


def test_what_contradicts_its_subject_is_believed_in_neither_way(site: Site) -> None:
    process = Process()
    beat, sample = process.beat(site.time), process.sample(site.time, counter("waggle.c", 1))
    fact = QueryEvent(id="i", tenant="t", query_id="q", fact=QueryFact.FAILED)
    site.intake.heartbeat(subjects.health("embed", "embed-2"), beat.to_bytes())
    site.intake.sample(subjects.metrics("ingest", "embed-1"), sample.to_bytes())
    site.intake.event(subjects.query_event(QueryFact.FAILED, "other"), {}, fact.to_bytes())
    site.intake.event(subjects.query_event(QueryFact.COMPLETED, "t"), {}, fact.to_bytes())
    site.pass_(12)
    assert site.intake.malformed.counts["misaddressed"] == 4
    assert len(site.intake.processes) == 0
    assert site.all("waggle_c_total") == {}
    assert site.value("sum(waggle_queries_total)") == 0
    site.fact(subjects.query_event(QueryFact.FAILED, "t"), fact)
    site.pass_(10)
    assert site.value("sum(waggle_queries_total)") == 1, "the true one is no repeat of the false"


def test_a_heartbeat_of_a_newer_release_is_counted(site: Site) -> None:
    body = json.loads(Process().beat(site.time).model_dump_json())
    newer = body | {"schema_version": Heartbeat.VERSION + 1, "mood": "good"}
    site.intake.heartbeat("rag.health.embed.embed-1", json.dumps(newer).encode())
    assert site.intake.malformed.counts["heartbeat"] == 1


def advisory(**fields: Any) -> bytes:
    told = {
        "type": "io.nats.jetstream.advisory.v1.max_deliver", "id": "x", "timestamp": "2026-11-01T00:00:00Z",
        "stream": "EMBED", "consumer": "embed", "stream_seq": 3, "deliveries": 5,
    }  # fmt: skip
    return json.dumps(told | fields).encode()


def test_advisories_are_counted_by_stream_and_consumer(site: Site) -> None:
    site.pass_(2)
    for data in (
        advisory(),
        advisory(),
        advisory(stream_seq=4),
        advisory(type="io.nats.jetstream.advisory.v1.terminated"),
    ):
        site.intake.advisory("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.EMBED.embed", data)
    site.pass_(10)
    assert site.value('waggle_advisories_total{kind="max_deliveries",stream="EMBED",consumer="embed"}') == 2
    assert site.value('waggle_advisories_total{kind="terminated"}') == 1


def facts(**fields: Any) -> BrokerFacts:
    return BrokerFacts(
        latency_s=0.01,
        api_errors=4,
        storage_bytes=100,
        streams=(
            StreamFacts(name="DLQ", messages=3, size_bytes=30, limit_bytes=1000, oldest_s=60),
            StreamFacts(name="EMBED", messages=2, size_bytes=20, limit_bytes=None, oldest_s=0),
        ),
        consumers=(
            ConsumerFacts(
                stream="EMBED", name="embed", pending=1, ack_pending=1, redelivered=0, waiting=2, stranded=0, oldest_s=5
            ),
            ConsumerFacts(stream="ADVISORIES", name="keeper", pending=0, ack_pending=0, redelivered=0, waiting=1),
        ),
        **fields,
    )


def test_facts_of_the_broker_become_series(site: Site) -> None:
    site.intake.broker(facts(storage_limit_bytes=1000, connections=9))
    values = {
        "waggle_broker_up": 1, "waggle_broker_latency_seconds": 0.01, "waggle_broker_api_errors_total": 4,
        "waggle_broker_storage_bytes": 100, "waggle_broker_storage_limit_bytes": 1000, "waggle_broker_connections": 9,
        "waggle_dead_letters": 3, 'waggle_stream_messages{stream="EMBED"}': 2, 'waggle_stream_bytes{stream="DLQ"}': 30,
        "waggle_stream_limit_bytes": 1000, 'waggle_stream_oldest_seconds{stream="DLQ"}': 60,
        'waggle_consumer_pending{stream="EMBED",consumer="embed"}': 1, 'waggle_consumer_ack_pending{consumer="embed"}': 1,
        "sum(waggle_consumer_redelivered)": 0, 'waggle_consumer_waiting{consumer="embed"}': 2,
        "waggle_consumer_stranded": 0, "waggle_consumer_oldest_seconds": 5,
    }  # fmt: skip
    assert {name: site.value(name) for name in values} == values
    site.now += 10
    site.intake.broker(facts())
    assert site.value("waggle_broker_storage_limit_bytes") is None, "it is unlimited now"


def test_of_a_broker_that_is_away_nothing_is_told_but_that(site: Site) -> None:
    site.intake.broker(facts())
    site.now += 10
    site.intake.broker(None)
    assert site.value("waggle_broker_up") == 0
    assert site.all('{__name__=~"waggle_(broker|stream|consumer|dead).*",__name__!="waggle_broker_up"}') == {}


def test_every_series_that_the_intake_makes_is_in_the_catalogue(site: Site) -> None:
    site.intake.broker(facts(storage_limit_bytes=1, connections=1))
    site.intake.advisory("s", advisory())
    checks = [{"name": "index", "status": "ok", "latency_ms": 1}, {"name": "progress", "status": "ok"}]
    site.pass_(60, Process(fields={"checks": checks, "last_progress_at": site.time}))
    made = {name for labels in site.all('{__name__=~".+"}') for name in [labels["__name__"]]}
    bare = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in made}
    assert bare <= set(CATALOGUE)
    only_when_they_happen = {"waggle_query_failures_total", "waggle_document_failures_total", "waggle_reconciled_total"}
    worked_out_of_them = {"waggle_health", "waggle_component_health", "waggle_health_change"}
    assert set(CATALOGUE) - bare == only_when_they_happen | worked_out_of_them


def test_memory_of_repeats_spans_and_askers_is_bounded() -> None:
    seen, spans, heard = SeenIds(most=3), OpenSpans[str](longest_s=10, most=3), RecentlyHeard(window_s=10, most=3)
    for n in range(10):
        assert seen.is_new(f"{n}")
        spans.begin(f"{n}", now=n)
        heard.hear(f"{n}", now=n)
    assert not seen.is_new("9")
    assert seen.is_new("0")
    assert (len(spans), spans.end("0", now=10), spans.end("9", now=10)) == (3, None, 1)
    assert heard.count(now=10) == 3
    spans.begin("late", now=100)
    assert len(spans) == 1, "what never ended is given up"

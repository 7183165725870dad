"""What processes measure becomes series of Prometheus, each of its process and of the time of its arrival."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from contracts import subjects
from contracts.metrics import HistogramPoint, Metric, MetricKind, NumberPoint
from observability.intake import samples as samples_module
from tests.support.fleets import Process, Site, counter


@pytest.fixture
def site() -> Site:
    return Site()


def tell(site: Site, process: Process, *metrics: Metric) -> None:
    sample = process.sample(site.time, *metrics)
    site.intake.sample(subjects.metrics(process.service, process.instance), sample.to_bytes())


def test_counters_gauges_and_histograms_become_series(site: Site) -> None:
    point = HistogramPoint(attributes={"http.route": "/x"}, count=6, sum=1.5, counts=(1, 2, 3))
    told = (
        counter("waggle.cache.hits", 3, waggle_cache_level="memory"),
        Metric(name="process.memory.usage", kind=MetricKind.GAUGE, unit="By", numbers=(NumberPoint(value=7),)),
        Metric(
            name="http.server.request.duration",
            kind=MetricKind.HISTOGRAM,
            unit="s",
            bounds=(0.1, 1),
            histograms=(point,),
        ),
    )
    tell(site, Process(), *told)
    assert site.value('waggle_cache_hits_total{service="embed",instance="embed-1",waggle_cache_level="memory"}') == 3
    assert site.value("process_memory_usage_bytes") == 7
    buckets = site.all('http_server_request_duration_seconds_bucket{http_route="/x"}')
    assert {labels["le"]: value for labels, value in buckets.items()} == {"0.1": 1, "1.0": 3, "+Inf": 6}
    assert site.value("http_server_request_duration_seconds_sum") == 1.5
    assert site.value("http_server_request_duration_seconds_count") == 6
    metadata = site.intake.metadata
    assert (metadata["waggle_cache_hits_total"].kind, metadata["waggle_cache_hits_total"].help) == (
        "counter",
        "Counted.",
    )
    assert metadata["http_server_request_duration_seconds"].unit == "seconds"
    assert metadata["process_memory_usage_bytes"].kind is MetricKind.GAUGE


def test_times_are_those_of_arrival(site: Site) -> None:
    late = Process().sample(site.time - timedelta(hours=1), counter("waggle.c", 1))
    site.intake.sample(subjects.metrics("embed", "embed-1"), late.to_bytes())
    assert site.value("time() - timestamp(waggle_c_total)") == 0


def test_a_counter_that_begins_anew_is_a_reset_and_not_a_new_series(site: Site) -> None:
    for started_s, value in ((0.0, 10), (0.0, 20), (25.0, 1), (25.0, 4)):
        tell(site, Process(started_s=started_s), counter("waggle.c", value))
        site.now += 10
    assert site.value("resets(waggle_c_total[1m])") == 1
    assert site.value("waggle_c_total") == 4


def test_counters_of_two_processes_with_one_name_are_not_mixed(site: Site) -> None:
    for _ in range(6):
        tell(site, Process(started_s=0), counter("waggle.c", 1000))
        tell(site, Process(started_s=9), counter("waggle.c", 5))
        site.now += 10
    assert site.value("resets(waggle_c_total[5m])") == 1, "the younger one takes over, once"
    assert site.value("waggle_c_total") == 5


def test_a_series_that_is_told_no_more_has_ended(site: Site) -> None:
    tell(site, Process(), counter("waggle.c", 1, waggle_stage="a"), counter("waggle.d", 1))
    for _ in range(4):
        site.pass_(10)
        tell(site, Process(), counter("waggle.d", 1))
    assert site.all("waggle_c_total") == {}
    assert site.value("waggle_d_total") == 1
    site.pass_(40)
    assert site.all("waggle_d_total") == {}, "the process is silent"


def test_nothing_ends_because_we_did_not_hear(site: Site) -> None:
    tell(site, Process(), counter("waggle.c", 1))
    site.pass_(120, listening=False)
    assert site.value("waggle_c_total") == 1


def test_a_flood_of_series_from_one_process_is_refused_and_counted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "MOST_SERIES", 50)
    many = NumberPoint
    points = tuple(many(attributes={"http.route": f"/{n}"}, value=n) for n in range(300))
    tell(site, Process(), Metric(name="waggle.c", kind=MetricKind.COUNTER, numbers=points))
    tell(site, Process(instance="embed-2"), counter("waggle.c", 1))
    assert site.value('count(waggle_c_total{instance="embed-1"})') == 50
    assert site.value('waggle_c_total{instance="embed-2"}') == 1
    assert site.intake.samples.refused == 250


def test_numbers_without_bound_stay_numbers(site: Site) -> None:
    histogram = {"name": "waggle.h", "kind": "histogram", "bounds": [1.0], "histograms": [
        {"attributes": {}, "count": 2 * 10**400, "sum": 1.0, "counts": [10**400, 10**400]},
    ]}  # fmt: skip
    body = json.loads(Process().sample(site.time).model_dump_json()) | {"metrics": [histogram]}
    site.intake.sample(subjects.metrics("embed", "embed-1"), json.dumps(body).encode())
    assert site.value("waggle_h_count") == 2.0**63


@pytest.mark.parametrize("name", ["waggle.up", "waggle.broker.up", "ALERTS", "ALERTS_FOR_STATE"])
def test_what_the_observer_says_itself_is_taken_from_nobody_else(site: Site, name: str) -> None:
    tell(site, Process(), Metric(name=name, kind=MetricKind.GAUGE, numbers=(NumberPoint(value=0),)))

    assert not site.all(name.replace(".", "_"))
    assert site.intake.samples.refused == 1

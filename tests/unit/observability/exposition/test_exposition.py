"""The same figures as text, which Prometheus' own tool accepts, and as JSON."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families

from contracts import subjects
from contracts.metrics import HistogramPoint, MetricKind, NumberPoint
from contracts.metrics import Metric as Told
from observability.exposition.formats import Format, as_json, as_text, chosen_format
from observability.exposition.latest import latest_families
from observability.exposition.registered import registered_families
from observability.promql import Labels
from tests.support.fleets import Process, Site, counter


@pytest.fixture
def site() -> Site:
    site, process = Site(), Process()
    point = HistogramPoint(count=3, sum=2.5, counts=(1, 2))
    sample = process.sample(
        site.time,
        counter("waggle.cache.hits", 3, waggle_cache_level='a "quoted"\\\nlevel'),
        Told(name="waggle.h", kind=MetricKind.HISTOGRAM, unit="s", bounds=(0.5,), histograms=(point,)),
        Told(name="process.thread.count", kind=MetricKind.GAUGE, numbers=(NumberPoint(value=4),)),
    )
    site.pass_(10, process)
    site.intake.sample(subjects.metrics(process.service, process.instance), sample.to_bytes())
    site.series.append(Labels({"__name__": "waggle:recorded:rate5m"}), time_ms=site.now_ms, value=1)
    return site


def families(site: Site) -> list[Metric]:
    return latest_families(site.series, site.intake.metadata, at_ms=site.now_ms)


def test_the_text_says_what_the_series_do(site: Site) -> None:
    read = {family.name: family for family in text_string_to_metric_families(as_text(families(site)).decode())}
    who = {"service": "embed", "instance": "embed-1"}
    [hits] = read["waggle_cache_hits"].samples
    assert (hits.name, hits.value) == ("waggle_cache_hits_total", 3)
    assert hits.labels == who | {"waggle_cache_level": 'a "quoted"\\\nlevel'}
    assert read["waggle_cache_hits"].documentation == "Counted."
    assert {(s.name, s.labels.get("le")): s.value for s in read["waggle_h_seconds"].samples} == {
        ("waggle_h_seconds_bucket", "0.5"): 1, ("waggle_h_seconds_bucket", "+Inf"): 3,
        ("waggle_h_seconds_sum", None): 2.5, ("waggle_h_seconds_count", None): 3,
    }  # fmt: skip
    assert read["waggle_up"].type == "gauge"
    assert read["waggle_process_progress"].type == "counter"
    assert "process_thread" in read
    assert not any(":" in name for name in read), "what rules record is asked for by query"


def test_the_json_says_the_same(site: Site) -> None:
    told = {family["name"]: family for family in json.loads(as_json(families(site)))["metrics"]}
    assert told["waggle_cache_hits_total"]["type"] == "counter"
    [sample] = told["waggle_cache_hits_total"]["samples"]
    assert (sample["value"], sample["labels"]["instance"]) == ("3.0", "embed-1")
    text = as_text(families(site)).decode()
    assert {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")} == set(told)


def test_what_has_ended_is_not_shown(site: Site) -> None:
    site.pass_(60)
    assert {family.name for family in families(site)} >= {"waggle_up", "waggle_queries"}
    assert "waggle_h_seconds" not in {family.name for family in families(site)}


def test_numbers_that_json_has_not_are_text() -> None:
    odd = GaugeMetricFamily("g", "help", labels=["n"])
    for number in (math.nan, math.inf, -math.inf):
        odd.add_metric([str(number)], number)
    [family] = json.loads(as_json([odd]))["metrics"]
    assert [sample["value"] for sample in family["samples"]] == ["NaN", "+Inf", "-Inf"]


def test_names_that_prometheus_reserves_are_changed_and_no_others() -> None:
    histogram = HistogramMetricFamily("h_count", "help", buckets=[("+Inf", 1)], sum_value=1)
    given = [
        GaugeMetricFamily("process_thread_count", "", value=4),
        CounterMetricFamily("c", "help", value=1),
        histogram,
    ]
    thread, *others = registered_families(given)
    assert (thread.name, thread.samples[0].name, thread.documentation) == (
        "process_thread",
        "process_thread",
        "Not described.",
    )
    assert others == given[1:]


def test_when_a_series_was_made_is_no_metric_of_its_own() -> None:
    [counter] = registered_families([CounterMetricFamily("c", "help", value=1, created=1234.5)])
    assert [sample.name for sample in counter.samples] == ["c_total"]
    assert counter.type == "counter"


@pytest.mark.parametrize(
    ("accept", "named", "chosen"),
    [
        ("", None, Format.TEXT),
        ("*/*", None, Format.TEXT),
        ("application/json", None, Format.JSON),
        ("text/html, application/json;q=0.9", None, Format.JSON),
        ("application/json;q=0.3, text/plain;q=0.5", None, Format.TEXT),
        ("application/json, */*", None, Format.TEXT),
        ("application/json;q=broken", None, Format.TEXT),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", None, Format.TEXT),
        ("text/plain", "json", Format.JSON),
        ("application/json", "text", Format.TEXT),
        ("", "xml", None),
    ],
)
def test_the_format_is_what_was_asked_for(accept: str, named: str | None, chosen: Format | None) -> None:
    assert chosen_format(accept=accept, named=named) is chosen


def test_the_gateways_part_brings_no_numbers_library_along() -> None:
    program = "import sys, gateway.metrics; print('numpy' in sys.modules, 'promql_parser' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["False", "False"]

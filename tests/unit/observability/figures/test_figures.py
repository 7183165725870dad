"""Figures, their status, and that no data is never healthy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from structlog.testing import capture_logs

from contracts.figure_settings import FigureSettings, Price, Thresholds
from contracts.figures import Direction, FigureStatus, FiguresView, FigureView, Layer
from deploy import rules as shipped
from observability.figures import FIGURES, Figure, FigureError, KeyFigures, cost_figure, with_thresholds
from observability.figures.reference import reference
from observability.promql import MemorySeries
from tests.support.series_names import names_in, series_names
from tests.unit.observability.promql.series import MINUTE_MS, series

DOCS = Path(__file__).parents[4] / "docs" / "figures.md"
INFO = 'waggle_process_info{service="embed",instance="embed-1",host="north",version="1",track="stable"}'


def of(name: str, given: dict[str, str], *, minute: float, figures: tuple[Figure, ...] = FIGURES) -> FigureView:
    """One figure over series with a value each minute."""
    view = KeyFigures(figures).view(series(given), at_ms=round(minute * MINUTE_MS))
    (found,) = [item for item in view.items if item.name == name]
    return found


class TestStatus:
    @pytest.mark.parametrize(
        ("bad", "value", "status"),
        [
            (Direction.ABOVE, 1.0, "healthy"),
            (Direction.ABOVE, 2.0, "healthy"),
            (Direction.ABOVE, 2.5, "warning"),
            (Direction.ABOVE, 5.5, "critical"),
            (Direction.BELOW, 6.0, "healthy"),
            (Direction.BELOW, 4.0, "warning"),
            (Direction.BELOW, 1.0, "critical"),
            (Direction.ABOVE, None, "unknown"),
            (Direction.ABOVE, float("nan"), "unknown"),
            (Direction.ABOVE, float("inf"), "unknown"),
        ],
    )
    def test_it_is_judged_by_thresholds(self, bad: Direction, value: float | None, status: str) -> None:
        thresholds = Thresholds(2, 5) if bad is Direction.ABOVE else Thresholds(5, 2)

        assert figure(bad=bad, thresholds=thresholds).status(value) == status

    def test_without_thresholds_data_is_healthy_and_none_is_unknown(self) -> None:
        assert figure().status(0.0) is FigureStatus.HEALTHY
        assert figure().status(None) is FigureStatus.UNKNOWN

    @pytest.mark.parametrize("bad", list(Direction))
    def test_a_warning_beyond_the_critical_threshold_is_refused(self, bad: Direction) -> None:
        wrong = Thresholds(5, 2) if bad is Direction.ABOVE else Thresholds(2, 5)

        with pytest.raises(FigureError, match="exchange them"):
            figure(bad=bad, thresholds=wrong)


def figure(**changes) -> Figure:
    fields = {
        "name": "load",
        "title": "Load",
        "layer": Layer.SERVICE,
        "unit": "1",
        "expression": "load",
        "rests_on": "load",
    }
    return Figure(**(fields | changes))


class TestView:
    def test_without_any_series_all_is_unknown(self) -> None:
        view = KeyFigures((*FIGURES, cost_figure({"m": Price(1, 2)}))).view(MemorySeries(), at_ms=MINUTE_MS)

        assert {item.status for item in view.items} == {FigureStatus.UNKNOWN}
        assert {item.value for item in view.items} == {None}
        assert view.uptime == ()

    def test_data_that_has_stopped_is_unknown_though_its_rate_goes_on(self) -> None:
        rate = figure(expression="rate(asked_total[5m])", rests_on="asked_total")
        asked = {"asked_total": "0+60x10"}

        going = of("load", asked, minute=10.5, figures=(rate,))
        stopped = of("load", asked, minute=11.5, figures=(rate,))

        assert going.value == pytest.approx(1.0, rel=0.1)
        assert going.status is FigureStatus.HEALTHY
        assert (stopped.value, stopped.status) == (None, "unknown")

    def test_a_share_of_no_questions_is_unknown(self) -> None:
        quiet = {'waggle_queries_total{outcome="answered"}': "7x20"}

        assert of("answered", quiet, minute=20).status is FigureStatus.UNKNOWN

    def test_the_worst_of_several_is_shown_with_its_labels(self) -> None:
        loads = {'load{host="a"}': "1x5", 'load{host="b"}': "9x5", 'load{host="c"}': "NaNx5"}

        high = of("load", loads, minute=5, figures=(figure(thresholds=Thresholds(5)),))
        low = of("load", loads, minute=5, figures=(figure(bad=Direction.BELOW),))

        assert (high.value, high.labels, high.status) == (9.0, {"host": "b"}, "warning")
        assert (low.value, low.labels) == (1.0, {"host": "a"})

    def test_more_instances_than_expected_are_none_missing(self) -> None:
        given = {'waggle_service_alive{service="embed"}': "2x5", 'waggle_service_expected{service="embed"}': "0x5"}

        found = of("instances_missing", given, minute=5)

        assert (found.value, found.status) == (0, FigureStatus.HEALTHY)

    def test_it_is_of_the_time_of_its_newest_sample(self) -> None:
        assert of("load", {"load": "1x5"}, minute=5.5, figures=(figure(),)).at.timestamp() == 300

    def test_what_cannot_be_computed_is_unknown_and_said(self) -> None:
        twins = {'load{host="a",disk="1"}': "1x5", 'load{host="a",disk="2"}': "2x5"}
        joined = figure(expression="load * on (host) load")

        with capture_logs() as logs:
            found = of("load", twins, minute=5, figures=(joined,))

        assert found.status is FigureStatus.UNKNOWN
        assert [(line["figure"], line["event"]) for line in logs] == [("load", "a figure cannot be computed")]

    def test_it_travels_as_json(self) -> None:
        view = KeyFigures((figure(),)).view(series({"load": "1x5"}), at_ms=5 * MINUTE_MS)

        assert FiguresView.model_validate_json(view.model_dump_json()) == view


class TestCatalogue:
    def test_names_are_told_apart(self) -> None:
        names = [each.name for each in FIGURES]

        assert len(set(names)) == len(names)
        assert {each.layer for each in FIGURES} == set(Layer)

    @pytest.mark.parametrize("each", [*FIGURES, cost_figure({})], ids=lambda each: each.name)
    def test_figures_ask_for_series_that_there_are(self, each: Figure) -> None:
        assert (names_in(each.expression) | names_in(each.rests_on)) - series_names() == set()

    def test_a_system_at_work_is_healthy_in_every_figure(self) -> None:
        figures = (*FIGURES, cost_figure({"small": Price(1, 2)}))
        view = KeyFigures(figures).view(series(AT_WORK), at_ms=70 * MINUTE_MS)

        assert {item.name: item.status.value for item in view.items} == {each.name: "healthy" for each in figures}
        assert [(up.component, up.alive, up.expected, up.last_hour) for up in view.uptime] == [("embed", 1, 1, 1.0)]

    def test_thresholds_are_those_of_the_shipped_alerts(self) -> None:
        by_name = {each.name: each.thresholds for each in FIGURES}
        files = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in shipped.FOLDER.glob("*.yaml")]
        alerts = [rule for file in files for group in file["groups"] for rule in group["rules"] if "alert" in rule]
        compared = {
            (name, rule["labels"]["severity"]): (
                getattr(by_name[name], "critical" if rule["labels"]["severity"] == "critical" else "warning"),
                {float(found) for found in re.findall(r"[<>] ([0-9.]+)", rule["expr"])},
            )
            for rule in alerts
            for name, alert in ALERT_OF.items()
            if alert == rule["alert"]
        }

        assert {name for name, _ in compared} == set(ALERT_OF)
        assert {key: pair for key, pair in compared.items() if pair[0] not in pair[1]} == {}

    def test_the_reference_is_up_to_date(self) -> None:
        assert DOCS.read_text(encoding="utf-8") == reference(), "make docs"


ALERT_OF = {
    "availability": "QueryAvailabilityLow",
    "error_rate": "QueryErrorsHigh",
    "response_time_p95": "QuerySlow",
    "first_token_p95": "FirstTokenSlow",
    "oldest_question": "QuestionsWait",
    "oldest_document": "DocumentsWait",
    "cpu": "CpuHigh",
    "memory": "MemoryHigh",
    "disk": "DiskFull",
    "broker_latency": "BrokerSlow",
    "streams": "StreamNearLimit",
    "zero_hits": "ZeroHitsHigh",
    "searchable_p95": "DocumentsSlow",
    "error_logs": "ErrorLogsHigh",
    "refused": "AdmissionRefuses",
}

_EMBED = 'service="embed",instance="embed-1"'
AT_WORK = {
    "waggle:query_availability:ratio_rate5m": "1x70",
    "waggle:query_error:ratio_rate5m": "0x70",
    "waggle:query_duration_seconds:p95_5m": "0.4x70",
    "waggle:query_first_token_seconds:p95_5m": "0.2x70",
    "waggle:query:rate5m": "3x70",
    "waggle:host_cpu_used:ratio{host='north'}".replace("'", '"'): "0.4x70",
    "waggle:host_memory_used:ratio{host='north'}".replace("'", '"'): "0.4x70",
    "waggle:host_disk_used:ratio{host='north'}".replace("'", '"'): "0.4x70",
    'waggle:stream_used:ratio{stream="INGEST"}': "0.1x70",
    **{f'waggle_queries_total{{outcome="{outcome}"}}': "0+9x70" for outcome in ("answered", "no_answer", "failed")},
    "waggle_query_zero_hits_total": "0+1x70",
    "waggle_query_principals": "4x70",
    **{f"{name}_{part}": "0+3x70" for part in ("sum", "count") for name in (
        "waggle_query_top_score", "waggle_answer_citations", "waggle_query_duration_seconds",
        "waggle_query_time_to_first_token_seconds", "waggle_document_searchable_seconds",
    )},
    'waggle_document_searchable_seconds_bucket{le="10"}': "0+3x70",
    'waggle_document_searchable_seconds_bucket{le="+Inf"}': "0+3x70",
    'waggle_documents_total{outcome="ready"}': "0+2x70",
    **{
        f'gen_ai_client_token_usage_sum{{gen_ai_request_model="small",gen_ai_token_type="{kind}"}}': "0+100x70"
        for kind in ("input", "output")
    },
    **{f'waggle_query_tokens_total{{type="{kind}"}}': "0+100x70" for kind in ("input", "output")},
    INFO: "1x70",
    f"process_uptime_seconds{{{_EMBED}}}": "0+60x70",
    f"waggle_up{{{_EMBED}}}": "1x70",
    'waggle_service_alive{service="embed"}': "1x70",
    'waggle_service_expected{service="embed"}': "1x70",
    f'waggle_backend_up{{{_EMBED},backend="index"}}': "1x70",
    **{
        f'waggle_consumer_{what}{{stream="EMBED",consumer="embed"}}': "0x70"
        for what in ("pending", "stranded", "oldest_seconds")
    },
    "waggle_dead_letters": "0x70",
    **{f"system_{what}_utilization": "0.4x70" for what in ("cpu", "memory", "filesystem")},
    "waggle_broker_up": "1x70",
    "waggle_broker_latency_seconds": "0.001x70",
    'waggle_stream_bytes{stream="INGEST"}': "10x70",
}  # fmt: skip


class TestThresholds:
    def test_some_are_given_and_the_others_stay(self) -> None:
        changed = {each.name: each.thresholds for each in with_thresholds(FIGURES, {"throughput": Thresholds(100, 50)})}

        assert changed["throughput"] == Thresholds(100, 50)
        assert changed["cpu"] == Thresholds(0.8, 0.95)

    def test_a_floor_of_the_throughput_is_judged_from_below(self) -> None:
        figures = with_thresholds(FIGURES, {"throughput": Thresholds(100, 50)})
        few = {"waggle:query:rate5m": "60x5", 'waggle_queries_total{outcome="answered"}': "0+3600x5"}

        assert of("throughput", few, minute=5, figures=figures).status is FigureStatus.WARNING
        assert of("throughput", few, minute=5).status is FigureStatus.HEALTHY

    def test_a_figure_that_there_is_not_is_refused_by_name(self) -> None:
        with pytest.raises(FigureError, match="there is no figure speed: choose one of answered, availability"):
            with_thresholds(FIGURES, {"speed": Thresholds(1)})


class TestConfigured:
    def test_settings_say_thresholds_and_prices(self) -> None:
        settings = FigureSettings(figure_thresholds="cost=5/10,cpu=0.1", model_prices="small=1/2")

        view = KeyFigures.configured(settings).view(series(AT_WORK), at_ms=70 * MINUTE_MS)
        found = {item.name: item for item in view.items}

        assert (found["cost"].warning, found["cost"].critical, found["cost"].value is not None) == (5, 10, True)
        assert found["cpu"].status is FigureStatus.CRITICAL

    def test_a_figure_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(FigureError, match="there is no figure speed"):
            KeyFigures.configured(FigureSettings(figure_thresholds="speed=1"))


class TestCost:
    def test_it_is_tokens_times_prices_of_each_model(self) -> None:
        used = {
            f'gen_ai_client_token_usage_sum{{gen_ai_request_model="{model}",gen_ai_token_type="{kind}"}}': "0+1000000x120"
            for model in ("small", 'odd"name', "free")
            for kind in ("input", "output")
        }
        prices = cost_figure({"small": Price(1, 2), 'odd"name': Price(0, 10)})

        cost = of(
            "cost",
            {name.replace('odd"name', 'odd\\"name'): v for name, v in used.items()},
            minute=120,
            figures=(prices,),
        )

        assert cost.value == pytest.approx(60 * (1 + 2 + 10), rel=0.02)

    def test_as_many_prices_as_may_be_given_make_an_expression_that_is_taken(self) -> None:
        prices = {f"{'m' * 94}{number:02}": Price(0.123456789, 1.23456789) for number in range(16)}

        assert cost_figure(prices).expression.count("increase") == 32

    def test_without_prices_it_is_unknown(self) -> None:
        used = {'gen_ai_client_token_usage_sum{gen_ai_request_model="m",gen_ai_token_type="input"}': "0+10x120"}

        assert of("cost", used, minute=120, figures=(cost_figure({}),)).status is FigureStatus.UNKNOWN

"""The query API: Prometheus' shapes, its errors, and answers that do not depend on how they are asked."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.metrics import MetricKind
from observability.metadata import MetadataRegistry, MetricMetadata
from observability.promql import Labels, PromQLError, parse
from observability.querying import QueryApi, QueryLimits
from observability.querying.answers import number
from observability.rules.testing import notation
from observability.series import SeriesStore
from tests.support.promql_cases import INTERVAL_S, SAMPLES, Cases
from tests.unit.observability.series.stores import HOUR_MS, MINUTE_MS, START_MS, Clock, fill, of_process, store

START_S = START_MS // 1000


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def series(clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two hours of two processes; one of the two metrics ended after half an hour."""
    found = store(tmp_path_factory.mktemp("series"), clock)
    fill(found, clock, of_process("i1"), of_process("i2"), of_process(name="ended", le="0.5"), minutes=30)
    fill(found, clock, of_process("i1"), of_process("i2"), minutes=90)
    yield found
    found.close()


@pytest.fixture(scope="module")
def metadata() -> dict[str, MetricMetadata]:
    return {
        "x": MetricMetadata(MetricKind.COUNTER, "How many x.", "seconds"),
        "a": MetricMetadata(MetricKind.HISTOGRAM, ""),
    }


@pytest.fixture(scope="module")
def api(series: SeriesStore, metadata: dict[str, MetricMetadata], clock: Clock) -> QueryApi:
    return QueryApi(series, metadata=metadata, now_ms=clock, version="1.2.3")


def asked(api: QueryApi, path: str, **fields: str | list[str]) -> Any:
    """The data of a good answer, through JSON."""
    form = {name.replace("match", "match[]"): [v] if isinstance(v, str) else v for name, v in fields.items()}
    answer = api.answer(path, form)
    body = json.loads(json.dumps(answer.body, allow_nan=False))
    assert (answer.status, body["status"]) == (HTTPStatus.OK, "success"), body
    return body["data"]


def refused(api: QueryApi, path: str, **fields: str | list[str]) -> tuple[int, str, str]:
    """Status, type and text of the error."""
    form = {name.replace("match", "match[]"): [v] if isinstance(v, str) else v for name, v in fields.items()}
    answer = api.answer(path, form)
    body = json.loads(json.dumps(answer.body))
    assert body.keys() == {"status", "errorType", "error"}
    assert body["status"] == "error"
    return int(answer.status), body["errorType"], body["error"]


class TestShapes:
    def test_an_instant_vector(self, api: QueryApi) -> None:
        data = asked(api, "query", query='x{instance="i1"}', time=f"{START_S + 6000}.25")

        assert data == {
            "resultType": "vector",
            "result": [
                {
                    "metric": {"__name__": "x", "service": "embed", "instance": "i1"},
                    "value": [START_S + 6000.25, "600"],
                }
            ],
        }

    def test_a_scalar(self, api: QueryApi) -> None:
        assert asked(api, "query", query="1 / 0", time="5") == {"resultType": "scalar", "result": [5, "+Inf"]}

    def test_a_matrix(self, api: QueryApi) -> None:
        data = asked(
            api,
            "query_range",
            query='sum(x{instance="i1"})',
            start=str(START_S + 6000),
            end=str(START_S + 6020),
            step="10",
        )

        values = [[START_S + 6000, "600"], [START_S + 6010, "601"], [START_S + 6020, "602"]]
        assert data == {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}

    def test_a_range_of_samples_is_a_matrix_at_their_own_times(self, api: QueryApi) -> None:
        data = asked(api, "query", query="x[20s] offset 5s", time=str(START_S + 6000))

        assert data["resultType"] == "matrix"
        assert [(each["metric"]["instance"], each["values"]) for each in data["result"]] == [
            (instance, [[START_S + 5980, "598"], [START_S + 5990, "599"]]) for instance in ("i1", "i2")
        ]

    def test_a_range_of_a_scalar_is_a_matrix(self, api: QueryApi) -> None:
        data = asked(api, "query_range", query="2", start="10", end="20", step="10")

        assert data == {"resultType": "matrix", "result": [{"metric": {}, "values": [[10, "2"], [20, "2"]]}]}

    def test_without_a_time_it_is_now(self, api: QueryApi, clock: Clock) -> None:
        assert asked(api, "query", query="time()")["result"] == [clock.now_ms / 1000, number(clock.now_ms / 1000)]

    def test_results_past_a_limit_are_left_out_and_that_is_said(self, api: QueryApi) -> None:
        answer = api.answer("query", {"query": ["x"], "limit": ["1"]})

        assert answer.body["warnings"] == ["results truncated due to limit"]
        assert len(answer.body["data"]["result"]) == 1  # type: ignore[index, call-overload, arg-type]

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.0, "0"), (-0.0, "-0"), (1.0, "1"), (0.1, "0.1"), (1e20, "1" + "0" * 20), (1e21, "1e+21"), (1e-6, "0.000001"),
         (1.5e-7, "1.5e-07"), (-123456789.125, "-123456789.125"), (1e100, "1e+100"), (5e-324, "5e-324"),
         (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (1e16, "1" + "0" * 16)],
    )  # fmt: skip
    def test_numbers_are_written_as_go_writes_them(self, value: float, text: str) -> None:
        assert number(value) == text


class TestNames:
    def test_series(self, api: QueryApi) -> None:
        data = asked(api, "series", match=["x", 'ended{le="0.5"}'])

        assert data == [
            {"__name__": "ended", "service": "embed", "instance": "i1", "le": "0.5"},
            {"__name__": "x", "service": "embed", "instance": "i1"},
            {"__name__": "x", "service": "embed", "instance": "i2"},
        ]

    def test_series_of_a_time(self, api: QueryApi) -> None:
        late = str(START_S + 100 * 60)

        assert asked(api, "series", match="ended", start=late) == []
        assert len(asked(api, "series", match="ended", end=str(START_S + 600))) == 1
        assert asked(api, "series", match="x", end=str(START_S)) == []

    def test_labels(self, api: QueryApi) -> None:
        assert asked(api, "labels") == ["__name__", "instance", "le", "service"]
        assert asked(api, "labels", match="x") == ["__name__", "instance", "service"]

    def test_values_of_a_label(self, api: QueryApi) -> None:
        assert asked(api, "label/instance/values") == ["i1", "i2"]
        assert asked(api, "label/__name__/values") == ["ended", "x"]
        assert asked(api, "label/le/values", match="x") == []
        assert asked(api, "label/nothing/values") == []

    def test_metadata(self, api: QueryApi) -> None:
        x = {"x": [{"type": "counter", "help": "How many x.", "unit": "seconds"}]}
        a = {"a": [{"type": "histogram", "help": "", "unit": ""}]}

        assert asked(api, "metadata") == {**a, **x}
        assert asked(api, "metadata", metric="x") == x
        assert asked(api, "metadata", limit="1") == a
        assert asked(api, "metadata", metric="nothing") == {}

    def test_metadata_is_bounded_and_the_first_that_tells_is_believed(self) -> None:
        registry = MetadataRegistry(most=2)
        for name, help_ in (("a", "1"), ("b", "2"), ("c", "3"), ("a", "4")):
            registry.add(name, MetricMetadata(MetricKind.GAUGE, help_))

        assert {name: told.help for name, told in registry.items()} == {"a": "1", "b": "2"}

    def test_build_info_names_the_version_that_clients_go_by(self, api: QueryApi) -> None:
        data = asked(api, "status/buildinfo")

        assert data["version"].startswith("3.")
        assert "1.2.3" in data["revision"]


class TestErrors:
    RANGE: ClassVar = {"query": "x", "start": "0", "end": "100", "step": "10"}

    @pytest.mark.parametrize(
        ("changed", "told"),
        [
            ({"query": "sum("}, 'invalid parameter "query": '),
            ({"query": ""}, 'invalid parameter "query": '),
            ({"query": "x[5m]"}, "outside a function of ranges"),
            ({"query": "x[5m:1m]"}, "outside the PromQL subset"),
            ({"start": ""}, 'invalid parameter "start": cannot parse "" to a valid timestamp'),
            ({"start": "yesterday"}, 'cannot parse "yesterday" to a valid timestamp'),
            ({"start": "NaN"}, 'cannot parse "NaN" to a valid timestamp'),
            ({"start": "1e400"}, "to a valid timestamp"),
            ({"start": "2023-13-01T00:00:00Z"}, "to a valid timestamp"),
            ({"end": "9" * 30}, "to a valid timestamp"),
            ({"start": "200"}, "end timestamp must not be before start time"),
            ({"step": "0"}, "zero or negative query resolution step widths are not accepted"),
            ({"step": "-1"}, "zero or negative query resolution step widths are not accepted"),
            ({"step": "fast"}, 'cannot parse "fast" to a valid duration'),
            ({"step": "0.001"}, "exceeded maximum resolution of 11,000 points per timeseries"),
            ({"limit": "-1"}, 'invalid parameter "limit"'),
            ({"timeout": "soon"}, 'invalid parameter "timeout"'),
            ({"lookback_delta": "x"}, 'invalid parameter "lookback_delta"'),
        ],
    )
    def test_what_is_no_question_is_bad_data(self, api: QueryApi, changed: dict[str, str], told: str) -> None:
        status, kind, text = refused(api, "query_range", **(self.RANGE | changed))

        assert (status, kind) == (400, "bad_data")
        assert told in text

    @pytest.mark.parametrize("match", ["", "{}", "sum(x)", "x offset 5m", "x[5m]", '{__name__=~"("}'])
    def test_what_is_no_selector_is_bad_data(self, api: QueryApi, match: str) -> None:
        assert refused(api, "series", match=match)[:2] == (400, "bad_data")

    def test_series_have_to_be_named(self, api: QueryApi) -> None:
        assert refused(api, "series") == (400, "bad_data", "no match[] parameter provided")

    def test_what_cannot_be_evaluated_is_an_execution_error(self, api: QueryApi) -> None:
        status, kind, text = refused(api, "query", query="x + on (service) x")

        assert (status, kind) == (422, "execution")
        assert "many-to-many" in text or "duplicate" in text

    def test_too_many_samples_are_an_execution_error(self, series: SeriesStore, clock: Clock) -> None:
        for limits in (QueryLimits(samples=100), QueryLimits(loaded=100), QueryLimits(results=100)):
            api = QueryApi(series, metadata={}, now_ms=clock, version="1", limits=limits)

            status, kind, text = refused(
                api, "query_range", query="x", start=str(START_S), end=str(START_S + 7200), step="60"
            )

            assert (status, kind) == (422, "execution")
            assert "too many samples" in text

    def test_past_the_deadline_it_is_a_timeout(self, series: SeriesStore, clock: Clock) -> None:
        ticks = iter(range(100))
        api = QueryApi(series, metadata={}, now_ms=clock, version="1", monotonic=lambda: float(next(ticks)))

        status, kind, _ = refused(
            api, "query_range", query="x", start=str(START_S), end=str(START_S + 600), step="60", timeout="5s"
        )

        assert (status, kind) == (503, "timeout")
        assert next(ticks) < 10, "it ended between two steps"

    def test_what_there_is_not_is_not_found(self, api: QueryApi) -> None:
        assert refused(api, "admin/tsdb/snapshot")[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1700000040", 1700000040),
        ("1700000040.5", 1700000040.5),
        ("1.70000004e9", 1700000040),
        ("2023-11-14T22:14:00Z", 1700000040),
        ("2023-11-14T23:14:00.123456789+01:00", 1700000040.123),
    ],
)
def test_times_are_read_as_prometheus_reads_them(api: QueryApi, text: str, seconds: float) -> None:
    assert asked(api, "query", query="1", time=text)["result"][0] == seconds


@pytest.mark.parametrize(("step", "seconds"), [("30", 30), ("30s", 30), ("1m30s", 90), ("0.5", 0.5), ("1e1", 10)])
def test_durations_are_read_as_prometheus_reads_them(api: QueryApi, step: str, seconds: float) -> None:
    data = asked(api, "query_range", query="1", start="0", end="100", step=step)

    assert data["result"][0]["values"][1][0] == seconds


class TestRanges:
    """Each step of a range query is what an instant query says, wherever the samples are."""

    @pytest.fixture(params=["in memory", "on disk"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        """Generated series, a sample a minute; on disk those older than ten minutes."""
        memory_ms = 10 * MINUTE_MS if request.param == "on disk" else HOUR_MS
        clock = Clock(0)
        found = store(tmp_path, clock, memory_ms=memory_ms)
        scenario = Cases(7).scenario(1)
        given = [(notation.series(name), notation.values(values)) for name, values in scenario.series.items()]
        for step in range(SAMPLES):
            clock.now_ms = step * INTERVAL_S * 1000
            for labels, values in given:
                value = values[step] if step < len(values) else None
                if value is not None:
                    found.append(labels, time_ms=clock.now_ms, value=value)
            found.maintain()
        yield found
        found.close()

    def test_generated_expressions_yield_the_same_at_each_step(self, source: SeriesStore) -> None:
        texts = [text for text, _ in Cases(11).scenario(60).expressions]
        end_ms, compared = SAMPLES * INTERVAL_S * 1000, 0
        api = QueryApi(source, metadata={}, now_ms=lambda: end_ms, version="1")
        for text in texts:
            if "start()" in text or "end()" in text:
                continue
            answer = api.answer(
                "query_range", {"query": [text], "start": ["0"], "end": [str(end_ms / 1000)], "step": ["150"]}
            )
            expected: dict[Labels, list[Any]] = {}
            try:
                for at_ms in range(0, end_ms + 1, 150_000):
                    for labels, value in parse(text).instant(source, at_ms=at_ms).samples:
                        expected.setdefault(labels, []).append([at_ms // 1000, number(value)])
            except PromQLError:
                assert answer.status != HTTPStatus.OK, text
                continue
            data: Any = answer.body["data"]
            assert {Labels(each["metric"]): each["values"] for each in data["result"]} == expected, text
            compared += bool(expected)
        assert compared > 25


TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["x", "sum(x)", "1e3", "-1", "5m", "2023-11-14T22:14:00Z", "9" * 400, "x offset 99999y", "x[99999y]", "\ud800"]
    ),
)


@settings(deadline=None, max_examples=150)
@given(
    path=st.one_of(
        st.sampled_from(["query", "query_range", "series", "labels", "metadata", "label/x/values"]),
        st.text(max_size=20).map(lambda text: f"label/{text}/values"),
    ),
    fields=st.dictionaries(
        st.sampled_from(
            ["query", "time", "start", "end", "step", "match[]", "limit", "timeout", "lookback_delta", "metric"]
        ),
        st.lists(TEXTS, max_size=3),
    ),
)
def test_whatever_is_asked_has_an_answer(api: QueryApi, path: str, fields: dict[str, list[str]]) -> None:
    answer = api.answer(path, fields)

    assert int(answer.status) in {200, 400, 404, 422}
    assert json.dumps(answer.body, allow_nan=False)


def test_a_day_is_answered_step_by_step(tmp_path: Path) -> None:
    """The time that it takes is measured by `make bench`; here, that each step is there."""
    clock = Clock()
    series = store(tmp_path, clock)
    many = [of_process(str(number)) for number in range(20)]
    for _ in range(48):
        fill(series, clock, *many, minutes=30, every_ms=60_000, maintained=False)
        series.maintain()
    api = QueryApi(series, metadata={}, now_ms=clock, version="1")

    data = asked(
        api, "query_range", query="rate(x[5m])", start=str(START_S + 360), end=str(clock.now_ms // 1000), step="1m"
    )

    assert [len(each["values"]) for each in data["result"]] == [24 * 60 - 5] * 20
    series.close()

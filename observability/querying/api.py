"""Prometheus' HTTP API over series: what is asked as the fields of a form, the answer as what JSON can say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

from observability.metadata import MetricMetadata
from observability.promql import EvaluationError, Labels, PromQLError, SeriesSource
from observability.promql.errors import SampleLimitError
from observability.promql.matchers import Selector
from observability.promql.selectors import RangeSelector
from observability.promql.staleness import DEFAULT_LOOKBACK_MS
from observability.querying import answers
from observability.querying.answers import Answer, Json
from observability.querying.errors import ErrorKind, QueryError, bad_data
from observability.querying.limits import BoundedSource, Monotonic, QueryLimits
from observability.querying.parameters import Parameters

Fields = Mapping[str, Sequence[str]]
NowMs = Callable[[], int]
T = TypeVar("T")

EVERYTHING: Final = Selector(())
TRUNCATED: Final = "results truncated due to limit"
SPEAKS: Final = "3.0.0"
"""The version of Prometheus whose API and semantics these are: clients go by it."""
_VALUES: Final = re.compile(r"label/([^/]+)/values")


class QueryableSeries(SeriesSource, Protocol):
    """A source that also knows what there is."""

    def reader(self, *, after_ms: int, until_ms: int, most_samples: int) -> SeriesSource:
        """Where samples in (after, until] are read from, for many reads."""
        ...

    def series(self, selector: Selector, *, after_ms: int, until_ms: int) -> list[Labels]:
        """The series that are meant and have a sample in (after, until]."""
        ...


class QueryApi:
    """Answers questions; safe for several threads. A question may take its timeout: ask outside of an event loop."""

    def __init__(
        self,
        series: QueryableSeries,
        *,
        metadata: Mapping[str, MetricMetadata],
        now_ms: NowMs,
        version: str,
        limits: QueryLimits | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._series = series
        self._metadata_of = metadata
        self._now_ms = now_ms
        self._version = version
        self._limits = limits or QueryLimits()
        self._monotonic = monotonic
        self._endpoints: dict[str, Callable[[Parameters], Answer]] = {
            "query": self._query,
            "query_range": self._query_range,
            "series": self._listed_series,
            "labels": self._label_names,
            "metadata": self._metadata,
            "status/buildinfo": self._build_info,
        }

    def answer(self, path: str, fields: Fields) -> Answer:
        """The answer to a question at `path`, what follows `/api/v1/`. Never raises for what is wrong with it."""
        try:
            return self._endpoint(path)(Parameters(fields))
        except QueryError as error:
            return answers.failure(error)
        except EvaluationError as error:
            return answers.failure(QueryError(ErrorKind.EXECUTION, str(error)))
        except PromQLError as error:
            return answers.failure(bad_data(str(error)))

    def _endpoint(self, path: str) -> Callable[[Parameters], Answer]:
        if (values := _VALUES.fullmatch(path)) is not None:
            return partial(self._label_values, values[1])
        if path not in self._endpoints:
            raise QueryError(ErrorKind.NOT_FOUND, f"there is no {path}: ask for {', '.join(self._endpoints)}")
        return self._endpoints[path]

    def _query(self, asked: Parameters) -> Answer:
        at_ms, lookback_ms = asked.time_ms("time", default_ms=self._now_ms()), _lookback(asked)
        query = asked.query_or_range()
        if isinstance(query, RangeSelector):
            return self._samples(asked, query, at_ms)
        source = self._source(asked, query.span(start_ms=at_ms, end_ms=at_ms, lookback_ms=lookback_ms))
        found = query.instant(source, at_ms=at_ms, lookback_ms=lookback_ms)
        if query.is_scalar:
            (sample,) = found.samples
            return answers.success({"resultType": "scalar", "result": answers.point(at_ms, sample.value)})
        result, warnings = _limited(answers.vector(found, at_ms=at_ms), asked)
        return answers.success({"resultType": "vector", "result": result}, warnings=warnings)

    def _samples(self, asked: Parameters, selected: RangeSelector, at_ms: int) -> Answer:
        until_ms = selected.shift.shifted(at_ms, start_ms=at_ms, end_ms=at_ms)
        after_ms = until_ms - selected.range_ms
        source = self._source(asked, (after_ms, until_ms))
        found = source.window(selected.selector, after_ms=after_ms, until_ms=until_ms)
        if found.counts.sum() > self._limits.results:
            raise SampleLimitError(self._limits.results)
        result, warnings = _limited(answers.samples(found), asked)
        return answers.success({"resultType": "matrix", "result": result}, warnings=warnings)

    def _query_range(self, asked: Parameters) -> Answer:
        start_ms, end_ms, step_ms = asked.time_ms("start"), asked.time_ms("end"), asked.duration_ms("step")
        if end_ms < start_ms:
            raise bad_data('invalid parameter "end": end timestamp must not be before start time')
        if step_ms <= 0:
            raise bad_data(
                'invalid parameter "step": zero or negative query resolution step widths are not accepted. '
                "Try a positive integer"
            )
        if (end_ms - start_ms) // step_ms >= self._limits.points:
            raise bad_data(
                f"exceeded maximum resolution of {self._limits.points:,} points per timeseries. "
                "Try decreasing the query resolution (?step=XX)"
            )
        query, lookback_ms = asked.query(), _lookback(asked)
        source = self._source(asked, query.span(start_ms=start_ms, end_ms=end_ms, lookback_ms=lookback_ms))
        found = query.range(
            source,
            start_ms=start_ms,
            end_ms=end_ms,
            step_ms=step_ms,
            lookback_ms=lookback_ms,
            most_points=self._limits.results,
        )
        result, warnings = _limited(answers.matrix(found), asked)
        return answers.success({"resultType": "matrix", "result": result}, warnings=warnings)

    def _listed_series(self, asked: Parameters) -> Answer:
        if not asked.selectors():
            raise bad_data("no match[] parameter provided")
        found: list[Json] = [dict(labels) for labels in sorted(self._matched(asked), key=lambda each: each.pairs)]
        result, warnings = _limited(found, asked)
        return answers.success(result, warnings=warnings)

    def _label_names(self, asked: Parameters) -> Answer:
        names = {name for labels in self._matched(asked) for name in labels}
        result, warnings = _limited(sorted(names), asked)
        return answers.success(result, warnings=warnings)

    def _label_values(self, name: str, asked: Parameters) -> Answer:
        values = {labels[name] for labels in self._matched(asked) if name in labels}
        result, warnings = _limited(sorted(values), asked)
        return answers.success(result, warnings=warnings)

    def _metadata(self, asked: Parameters) -> Answer:
        wanted, limit = asked.text("metric"), asked.limit()
        asked.limit("limit_per_metric")  # there is one description of each
        found: dict[str, Json] = {
            name: [{"type": told.kind.value, "help": told.help, "unit": told.unit}]
            for name, told in sorted(self._metadata_of.items())
            if wanted in {"", name}
        }
        return answers.success(dict(islice(found.items(), limit)))

    def _build_info(self, _: Parameters) -> Answer:
        return answers.success(
            {
                "version": SPEAKS,
                "revision": f"waggle-{self._version}",
                "branch": "",
                "buildUser": "",
                "buildDate": "",
                "goVersion": "",
            }
        )

    def _matched(self, asked: Parameters) -> set[Labels]:
        start_ms = asked.time_ms("start", default_ms=0)
        end_ms = asked.time_ms("end", default_ms=self._now_ms())
        if end_ms < start_ms:
            raise bad_data('invalid parameter "end": end timestamp must not be before start time')
        return {
            labels
            for selector in asked.selectors() or [EVERYTHING]
            # Both ends are included here.
            for labels in self._series.series(selector, after_ms=start_ms - 1, until_ms=end_ms)
        }

    def _source(self, asked: Parameters, span: tuple[int, int]) -> SeriesSource:
        timeout_s = min(
            asked.duration_ms("timeout", default_ms=round(self._limits.timeout_s * 1000)) / 1000, self._limits.timeout_s
        )
        source = self._series.reader(after_ms=span[0], until_ms=span[1], most_samples=self._limits.loaded)
        return BoundedSource(source, self._limits, timeout_s=timeout_s, monotonic=self._monotonic)


def _lookback(asked: Parameters) -> int:
    lookback_ms = asked.duration_ms("lookback_delta", default_ms=DEFAULT_LOOKBACK_MS)
    return lookback_ms if lookback_ms > 0 else DEFAULT_LOOKBACK_MS


def _limited(results: Sequence[T], asked: Parameters) -> tuple[list[T], list[str]]:
    """As many as are wanted, with a warning where that is not all."""
    limit = asked.limit()
    if limit is None or len(results) <= limit:
        return list(results), []
    return list(results[:limit]), [TRUNCATED]

"""What the observer that leads says of series and figures: worked out in threads, since it may take its time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from contracts.observing import ErrorType, Parameters, RequestKind
from messaging.observing import Answer, Handler, RefusedError
from observability.alerting import EvaluationThreads
from observability.exposition.formats import Format
from observability.figures import KeyFigures
from observability.promql import SeriesSource
from observability.querying import QueryApi

PATHS: Final[Mapping[RequestKind, str]] = {
    RequestKind.QUERY: "query",
    RequestKind.QUERY_RANGE: "query_range",
    RequestKind.SERIES: "series",
    RequestKind.LABELS: "labels",
    RequestKind.LABEL_VALUES: "label/{name}/values",
    RequestKind.METADATA: "metadata",
    RequestKind.BUILDINFO: "status/buildinfo",
}
NAME: Final = "name"
FORMAT: Final = "format"


def series_handlers(api: QueryApi, threads: EvaluationThreads) -> dict[RequestKind, Handler]:
    """Answers questions of Prometheus' HTTP API. The API ends each by its own `timeout`, so that no thread is kept for good."""
    return {kind: _answering(api, path, threads) for kind, path in PATHS.items()}


def figure_handler(
    figures: KeyFigures, series: SeriesSource, threads: EvaluationThreads, *, now_ms: Callable[[], int]
) -> Handler:
    """Answers with the key figures of the moment."""

    async def handler(_: Parameters) -> Answer:
        return await threads.run(lambda: Answer.of(figures.view(series, at_ms=now_ms())))

    return handler


def metrics_handler(render: Callable[[Format], bytes], threads: EvaluationThreads) -> Handler:
    """Answers with the newest sample of every series, as `render` writes them."""

    async def handler(parameters: Parameters) -> Answer:
        named = next(iter(parameters.get(FORMAT, ())), Format.TEXT)
        if named not in {*Format}:
            raise RefusedError(ErrorType.BAD_DATA, f"{FORMAT}: {named!r} is none of {', '.join(Format)}")
        chosen = Format(named)
        return Answer(body=await threads.run(lambda: render(chosen)), media_type=chosen.content_type)

    return handler


def _answering(api: QueryApi, path: str, threads: EvaluationThreads) -> Handler:
    async def handler(parameters: Parameters) -> Answer:
        name = next(iter(parameters.get(NAME, ())), "")
        fields = {field: values for field, values in parameters.items() if field != NAME}
        return await threads.run(lambda: _answer(api, path.format(name=name), fields))

    return handler


def _answer(api: QueryApi, path: str, fields: Parameters) -> Answer:
    found = api.answer(path, fields)
    body = json.dumps(found.body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Answer(body=body, status=int(found.status))

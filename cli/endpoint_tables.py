"""What people and scripts are shown of the endpoints of all workers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from cli.output import ago, counted, table
from contracts.endpoint_reports import (
    EndpointOrder,
    EndpointReport,
    EndpointState,
    EndpointStats,
    ServedModelKind,
)
from messaging.endpoints import EndpointSurvey

SHOWN_ERROR = 70
_FIGURES = frozenset({"share", "in flight", "requests", "failed", "first token"})
_MEANS = {
    ServedModelKind.ENCODER: "what it has to encode waits",
    ServedModelKind.RERANKER: "passages stay in their order",
    ServedModelKind.GENERATOR: "its questions wait",
}
_STYLES = {
    EndpointState.HEALTHY: "green",
    EndpointState.RESTING: "yellow",
    EndpointState.FAILING: "red",
    EndpointState.DRAINING: "cyan",
}


def table_of(survey: EndpointSurvey) -> Table:
    """One row for each endpoint in each worker."""
    columns = ("endpoint", "worker", "as", "model", "state", "share", "in flight", "requests", "failed", "first token")
    rows = table(*columns, "last error", right=_FIGURES, whole=frozenset({"endpoint"}))
    for report, stats in _pairs(survey):
        rows.add_row(
            stats.url,
            report.instance,
            report.kind.value,
            report.model,
            _state(stats),
            "standby" if stats.standby else str(stats.weight),
            str(stats.in_flight),
            str(stats.requests),
            str(stats.failures),
            "" if stats.latency_s is None else f"{1000 * stats.latency_s:.0f} ms",
            _shortened(stats.last_error),
        )
    return rows


def items(survey: EndpointSurvey, url: str | None = None) -> list[dict[str, Any]]:
    """The same as JSON values; of one endpoint, if that is given."""
    return [
        {
            "service": report.service,
            "instance": report.instance,
            "kind": report.kind.value,
            "model": report.model,
            **stats.model_dump(mode="json"),
        }
        for report, stats in _pairs(survey)
        if url in {None, stats.url}
    ]


def nobody(survey: EndpointSurvey) -> str:
    """Why there is nothing to show."""
    if survey.silent:
        return "No worker has told of its endpoints."
    if survey.without:
        running = f"{counted(survey.without, 'worker')} without any"
        return (
            f"No worker has endpoints ({running}): they come with WAGGLE_GENERATOR=openai, WAGGLE_ENCODER=openai or "
            "WAGGLE_RERANKER=endpoint."
        )
    return "No worker runs that could have endpoints (embed, retrieve, generate): start them with `waggle up`."


def remarks(survey: EndpointSurvey, drained: Iterable[EndpointOrder]) -> list[str]:
    """What the table does not say: who drained what, whom nobody can ask now, who did not answer."""
    said = [
        f"{order.url} is drained by {order.principal}, {ago(order.created_at)}{_lost(survey, order)}."
        for order in drained
    ]
    stuck = [report for report in survey.reports if all(_is_draining(stats) for stats in report.endpoints)]
    said += [f"{report.instance} has no endpoint left that is not drained: {_MEANS[report.kind]}." for report in stuck]
    return said + silence(survey)


def silence(survey: EndpointSurvey) -> list[str]:
    """That workers did not answer."""
    if not survey.silent:
        return []
    names = ", ".join(instance for _, instance in survey.silent)
    return [f"{counted(len(survey.silent), 'worker')} with endpoints did not answer: {names}."]


def behind(survey: EndpointSurvey, url: str, *, draining: bool) -> list[str]:
    """The workers that have not done yet what was ordered."""
    late = [report.instance for report, stats in survey.of(url) if _is_draining(stats) != draining]
    return list(dict.fromkeys(late))


def _pairs(survey: EndpointSurvey) -> list[tuple[EndpointReport, EndpointStats]]:
    pairs = [(report, stats) for report in survey.reports for stats in report.endpoints]
    return sorted(pairs, key=lambda pair: (pair[1].url, pair[0].service, pair[0].instance, pair[0].kind))


def _is_draining(stats: EndpointStats) -> bool:
    return stats.state is EndpointState.DRAINING


def _state(stats: EndpointStats) -> Text:
    done = _is_draining(stats) and not stats.in_flight
    return Text("drained" if done else stats.state.value, _STYLES[stats.state])


def _lost(survey: EndpointSurvey, order: EndpointOrder) -> str:
    if survey.of(order.url):
        return ""
    return " (no worker that answered has it; `waggle endpoints undrain` forgets it)"


def _shortened(error: str) -> str:
    line = " ".join(error.split())
    return line if len(line) <= SHOWN_ERROR else line[: SHOWN_ERROR - 1] + "…"

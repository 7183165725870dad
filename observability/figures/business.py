"""The key figures of business: what the fleet is for, counted from life-cycle facts."""

from __future__ import annotations

from typing import Final

from contracts.figure_settings import Thresholds
from contracts.figures import Layer
from observability.figures.figure import Figure

QUERIES: Final = "waggle_queries_total"
TOKENS: Final = "waggle_query_tokens_total"


def _share_of_questions(name: str, title: str, outcome: str) -> Figure:
    return Figure(
        name=name,
        title=title,
        layer=Layer.BUSINESS,
        unit="1",
        expression=f'(sum(increase({QUERIES}{{outcome="{outcome}"}}[1h])) or vector(0)) / sum(increase({QUERIES}[1h]))',
        rests_on=QUERIES,
    )


def _mean(name: str, title: str, unit: str, histogram: str) -> Figure:
    return Figure(
        name=name,
        title=title,
        layer=Layer.BUSINESS,
        unit=unit,
        expression=f"sum(increase({histogram}_sum[1h])) / sum(increase({histogram}_count[1h]))",
        rests_on=f"{histogram}_count",
    )


def _searchable(name: str, title: str, quantile: float, thresholds: Thresholds) -> Figure:
    histogram = "waggle_document_searchable_seconds"
    return Figure(
        name=name,
        title=title,
        layer=Layer.BUSINESS,
        unit="s",
        expression=f"histogram_quantile({quantile}, sum by (le) (increase({histogram}_bucket[1h])))",
        rests_on=f"{histogram}_count",
        thresholds=thresholds,
    )


def _tokens(name: str, title: str, kind: str) -> Figure:
    return Figure(
        name=name,
        title=title,
        layer=Layer.BUSINESS,
        unit="{token}/h",
        expression=f'sum(increase({TOKENS}{{type="{kind}"}}[1h]))',
        rests_on=TOKENS,
    )


BUSINESS: Final = (
    Figure(
        name="questions",
        title="Questions in an hour",
        layer=Layer.BUSINESS,
        unit="{query}/h",
        expression=f"sum(increase({QUERIES}[1h]))",
        rests_on=QUERIES,
    ),
    _share_of_questions("answered", "Questions that were answered", "answered"),
    _share_of_questions("no_answer", "Questions without an answer in the documents", "no_answer"),
    _share_of_questions("failed", "Questions that failed", "failed"),
    Figure(
        name="users",
        title="Distinct users in 5 minutes",
        layer=Layer.BUSINESS,
        unit="{user}",
        expression="waggle_query_principals",
        rests_on="waggle_query_principals",
    ),
    Figure(
        name="zero_hits",
        title="Questions that find nothing",
        layer=Layer.BUSINESS,
        unit="1",
        expression=f"(sum(increase(waggle_query_zero_hits_total[1h])) or vector(0)) / sum(increase({QUERIES}[1h]))",
        rests_on=QUERIES,
        thresholds=Thresholds(0.5),
    ),
    _mean("top_score", "Score of the best passage, on average", "1", "waggle_query_top_score"),
    _mean("citations", "Citations of an answer, on average", "{citation}", "waggle_answer_citations"),
    Figure(
        name="documents_ready",
        title="Documents that became searchable in an hour",
        layer=Layer.BUSINESS,
        unit="{document}/h",
        expression='sum(increase(waggle_documents_total{outcome="ready"}[1h]))',
        rests_on="waggle_documents_total",
    ),
    _searchable("searchable_p50", "Time from upload to searchable, median", 0.5, Thresholds()),
    _searchable("searchable_p95", "Time from upload to searchable, 95th percentile", 0.95, Thresholds(600)),
    _tokens("tokens_read", "Tokens that models read in an hour", "input"),
    _tokens("tokens_written", "Tokens that models wrote in an hour", "output"),
)

"""What becomes of questions, counted from their life-cycle facts."""

from __future__ import annotations

from typing import Final

from contracts.events import QueryEvent, QueryFact
from contracts.queries import MAX_DEADLINE_S
from observability.intake import catalogue
from observability.intake.recent import OpenSpans, RecentlyHeard
from observability.intake.tally import Tally

OUTCOMES: Final = ("answered", "no_answer", "failed", "cancelled")
ASKERS_WINDOW_S: Final = 300.0
MOST_ASKERS: Final = 10_000

DURATIONS_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
SCORES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CITATIONS: Final = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
HISTOGRAMS: Final = {
    catalogue.QUERY_DURATION: DURATIONS_S,
    catalogue.QUERY_FIRST_TOKEN: DURATIONS_S,
    catalogue.QUERY_TOP_SCORE: SCORES,
    catalogue.ANSWER_CITATIONS: CITATIONS,
}


class Queries:
    """Counts facts, each once; repeats are dropped before.

    How long a question took is what lies between the arrivals of its first and its last fact here, by our own monotonic
    clock: no other clock matters. A search without an answer counts as answered when it found something.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._open = OpenSpans[tuple[str, str]](longest_s=MAX_DEADLINE_S + 60.0)
        self._askers = RecentlyHeard(window_s=ASKERS_WINDOW_S, most=MOST_ASKERS)
        for outcome in OUTCOMES:
            tally.add(catalogue.QUERIES, 0, outcome=outcome)
        for name in (catalogue.QUERIES_ACCEPTED, catalogue.QUERY_ZERO_HITS, catalogue.QUERIES_CACHED):
            tally.add(name, 0)
        for direction in ("input", "output"):
            tally.add(catalogue.QUERY_TOKENS, 0, type=direction)

    def askers(self, *, now: float) -> int:
        """How many different ones asked within five minutes."""
        return self._askers.count(now=now)

    def accept(self, tenant: str, query_id: str, *, now: float) -> None:
        """A question was accepted."""
        self._tally.add(catalogue.QUERIES_ACCEPTED)
        self._open.begin((tenant, query_id), now=now)

    def take(self, event: QueryEvent, *, now: float) -> None:
        """Count a fact."""
        match event.fact:
            case QueryFact.ACCEPTED:
                self.accept(event.tenant, event.query_id, now=now)
            case QueryFact.RETRIEVED:
                self._retrieved(event, now)
            case QueryFact.COMPLETED:
                self._completed(event, now)
            case QueryFact.FAILED:
                self._ended(event, "failed", now)
                self._tally.add(catalogue.QUERY_FAILURES, code=event.failure.code if event.failure else "unknown")
            case QueryFact.CANCELLED:
                self._ended(event, "cancelled", now)

    def _retrieved(self, event: QueryEvent, now: float) -> None:
        self._askers.hear(event.principal, now=now)
        if event.passages == 0:
            self._tally.add(catalogue.QUERY_ZERO_HITS)
        if event.top_score is not None:
            self._tally.observe(catalogue.QUERY_TOP_SCORE, event.top_score)

    def _completed(self, event: QueryEvent, now: float) -> None:
        answered = bool(event.passages) if event.answered is None else event.answered
        took_s = self._ended(event, "answered" if answered else "no_answer", now)
        if took_s is not None and event.writing_s is not None:
            self._tally.observe(catalogue.QUERY_FIRST_TOKEN, max(0.0, took_s - event.writing_s))
        if event.answered and event.citations is not None:
            self._tally.observe(catalogue.ANSWER_CITATIONS, event.citations)
        if event.cached:
            self._tally.add(catalogue.QUERIES_CACHED)
        self._tally.add(catalogue.QUERY_TOKENS, event.prompt_tokens or 0, type="input")
        self._tally.add(catalogue.QUERY_TOKENS, event.completion_tokens or 0, type="output")

    def _ended(self, event: QueryEvent, outcome: str, now: float) -> float | None:
        self._tally.add(catalogue.QUERIES, outcome=outcome)
        took_s = self._open.end((event.tenant, event.query_id), now=now)
        if took_s is not None:
            self._tally.observe(catalogue.QUERY_DURATION, took_s)
        return took_s

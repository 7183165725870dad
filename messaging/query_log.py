"""Questions of a tenant, read back from the facts that the stream EVENTS keeps for a week."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from contracts import subjects, topology
from contracts.events import QueryEvent, QueryFact
from contracts.identifiers import TOKEN, time_of
from contracts.queries import MAX_DEADLINE_S
from contracts.query_views import QueryEntry, QueryState
from messaging.broker import Broker
from messaging.deadlines import budget_s
from messaging.event_pages import EventPages, Page, Span, event_of
from messaging.storage import Storage
from messaging.stored import Stored

MOST_READ: Final = 4_000
"""Facts looked at for one page, or to find one question."""
CANDIDATES: Final = 256
"""Questions that are judged at once."""
AT_ONCE: Final = 32
"""Ends that are in memory at once: each holds a whole answer."""
RUNS_AT_MOST: Final = timedelta(seconds=MAX_DEADLINE_S + 60)
"""What was accepted longer ago has ended."""
CLOCKS_DIFFER: Final = timedelta(seconds=10)
"""By so much an id may be ahead of the broker's clock."""

_STATES: Final[Mapping[str, QueryState]] = {
    QueryFact.ACCEPTED: QueryState.RUNNING,
    QueryFact.COMPLETED: QueryState.COMPLETED,
    QueryFact.FAILED: QueryState.FAILED,
    QueryFact.CANCELLED: QueryState.CANCELLED,
}
"""By the fourth token of a subject. What was found on the way is in the end's fact, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedQueries:
    """Which questions: in any of these states, failed with this code, answered or not. None and nothing: any."""

    states: Collection[QueryState] = ()
    code: str | None = None
    answered: bool | None = None

    def possible(self) -> frozenset[QueryState]:
        """The states that such a question can be in."""
        states = frozenset(self.states or QueryState)
        if self.code is not None:
            states &= {QueryState.FAILED}
        return states if self.answered is None else states & {QueryState.COMPLETED}

    def accept(self, entry: QueryEntry) -> bool:
        return (self.code is None or entry.code == self.code) and self.answered in {None, entry.answered}


ANY: Final = WantedQueries()


class QueryLog:
    """A question that has ended is told of where its end was; one that runs, where it was accepted.

    Everything raises `BrokerUnavailableError` when the broker is away. `most_read`: how many facts are looked at for an answer.
    """

    def __init__(self, broker: Broker, *, storage: Storage | None = None, most_read: int = MOST_READ) -> None:
        self._broker = broker
        self._storage = storage or Storage(broker)
        self._pages = EventPages(broker, stream=topology.EVENTS)
        self._most_read = most_read

    async def page(
        self,
        tenant: str,
        wanted: WantedQueries = ANY,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Page[QueryEntry]:
        """Questions whose last fact was told from `since` up to, not including, `until`, each once, in the order of those facts.
        A page may hold fewer than `limit` and still not be the last one.

        One that ends between two pages may be in both. One is in none if its end was never told, as when a worker died over it.
        """
        states = wanted.possible()
        if not states:
            return Page((), None)
        reader = _Reader(tenant, states, wanted, ended_before=self._broker.clock.now() - RUNS_AT_MOST)
        span = Span(since=reader.beginning(since), until=until, after=after)
        found: dict[str, _Placed] = {}
        left = self._most_read
        while True:
            page = await self._pages.page(reader.pattern, reader.read, span, limit=CANDIDATES, most_read=left)
            left -= page.read
            for placed in await self._standing(tenant, page.events):
                if len(found) == limit and placed.entry.query_id not in found:
                    return Page(_entries(found), max(each.sequence for each in found.values()), self._most_read - left)
                found.setdefault(placed.entry.query_id, placed)
            if page.after is None or left <= 0:
                return Page(_entries(found), page.after, self._most_read - left)
            span = replace(span, after=page.after, since=None)

    async def was_accepted(self, tenant: str, query_id: str) -> bool:
        """Whether a question was accepted so lately that it may run. Whether it has ended its terminal tells."""
        now = self._broker.clock.now()
        oldest, told = now - RUNS_AT_MOST, time_of(query_id)
        begun = oldest if told is None or told > now else max(oldest, told - CLOCKS_DIFFER)

        def named(stored: Stored) -> str | None:
            return query_id if stored.headers.get(subjects.HEADER_QUERY_ID) == query_id else None

        pattern = subjects.query_event(QueryFact.ACCEPTED, tenant)
        page = await self._pages.page(pattern, named, Span(since=begun), limit=1, most_read=self._most_read)
        return bool(page.events)

    async def _standing(self, tenant: str, candidates: Sequence[_Placed]) -> list[_Placed]:
        """Without those that were running when that was told, and have ended since: that has its own place."""
        running = [each.entry.query_id for each in candidates if each.entry.state is QueryState.RUNNING]
        over = set[str]()
        for start in range(0, len(running), AT_ONCE):
            ends = [subjects.terminal(tenant, query_id) for query_id in running[start : start + AT_ONCE]]
            over |= {
                stored.subject.rsplit(".", 1)[-1]
                for stored in await self._storage.latest(topology.TERMINALS.name, ends)
            }
        return [
            each for each in candidates if each.entry.state is not QueryState.RUNNING or each.entry.query_id not in over
        ]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A question, and the sequence of the fact that tells of it."""

    sequence: int
    entry: QueryEntry


class _Reader:
    """Makes entries of the facts of one tenant, as many as are wanted."""

    def __init__(
        self, tenant: str, states: frozenset[QueryState], wanted: WantedQueries, *, ended_before: datetime
    ) -> None:
        self._tenant = tenant
        self._states = states
        self._wanted = wanted
        self._ended_before = ended_before

    @property
    def pattern(self) -> str:
        """As narrow as one subject can be."""
        facts = [fact for fact, state in _STATES.items() if state in self._states]
        return f"{subjects.EVENTS}.query.{facts[0] if len(facts) == 1 else '*'}.{self._tenant}"

    def beginning(self, since: datetime | None) -> datetime | None:
        if self._states != {QueryState.RUNNING}:
            return since
        return self._ended_before if since is None else max(since, self._ended_before)

    def read(self, stored: Stored) -> _Placed | None:
        """The question that a fact tells of, or None where another fact tells of it, or where it is not wanted."""
        state = _STATES.get(stored.subject.split(".")[3])
        if state is None or state not in self._states:
            return None
        entry = self._running(stored) if state is QueryState.RUNNING else self._ended(stored, state)
        return None if entry is None or not self._wanted.accept(entry) else _Placed(stored.sequence, entry)

    def _running(self, stored: Stored) -> QueryEntry | None:
        query_id, at = stored.headers.get(subjects.HEADER_QUERY_ID, ""), stored.stored_at
        if at < self._ended_before or not TOKEN.fullmatch(query_id):
            return None
        return QueryEntry(
            query_id=query_id,
            state=QueryState.RUNNING,
            at=at,
            ends_by=at + timedelta(seconds=budget_s(stored.headers)),
        )

    def _ended(self, stored: Stored, state: QueryState) -> QueryEntry | None:
        event = event_of(QueryEvent, stored)
        if event is None or subjects.query_event(event.fact, event.tenant) != stored.subject:
            return None
        return QueryEntry(
            query_id=event.query_id,
            state=state,
            at=stored.stored_at,
            by=event.principal,
            code=event.failure.code if event.failure else None,
            message=event.failure.message if event.failure else None,
            answered=event.answered,
            passages=event.passages,
            top_score=event.top_score,
            citations=event.citations,
            cached=event.cached,
            timings_ms=event.timings_ms,
            writing_s=event.writing_s,
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
        )


def _entries(found: Mapping[str, _Placed]) -> tuple[QueryEntry, ...]:
    placed: Iterable[_Placed] = found.values()
    return tuple(each.entry for each in placed)

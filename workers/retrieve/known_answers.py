"""Answers that were given before, and whether they would be given again.

An answer depends on the question, on what was searched for and how, on the documents that were visible, and on the model
and what it was told. All of these name the entry of an answer twice: with the epoch of the tenant's documents, so that while
nothing changes not even a search is needed, and with the passages that were found, so that after a change that does not
concern the question the answer need not be made again. An entry is therefore never wrong; it is just not asked for any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from pydantic import ValidationError

from contracts import subjects
from contracts.answers import Citation, Completed
from contracts.errors import WaggleError
from contracts.health import FACT_MODEL, FACT_PARAMETERS, FACT_PROMPT_VERSION
from contracts.message import Value
from contracts.queries import QueryRequest, RetrievedPassage
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.keys import CacheKey
from messaging.fleet import FleetView
from messaging.live import Live, listening
from messaging.terminals import read_terminal
from workers.retrieve.answer_keys import Who, key_of_epoch, key_of_passages
from workers.retrieve.conversations import CONDENSE_SKIPPED
from workers.retrieve.searcher import RERANK_SKIPPED, Found

STABLE = "stable"
"""Every question is answered on this track unless a rollout says otherwise."""
MAX_AWAITED = 4096
"""Most answers that are listened for at once; of more the oldest are not kept."""

WAIT_SHARE = 0.5
"""Of the time that is left for it a question waits this share for answers to equal ones, ..."""
MOST_WAIT_S = 20.0
"""... and no longer than this."""

DocumentEpoch = Callable[[str], Awaitable[str]]

log = structlog.get_logger(__name__)


class KnownAnswer(Value):
    """An answer with the passages that it was made of, as the cache keeps it."""

    searched_for: str | None
    passages: tuple[RetrievedPassage, ...]
    encoder_serves_query: bool
    answer: str
    answered: bool
    citations: tuple[Citation, ...]
    model: str | None
    prompt_version: str | None

    @property
    def found(self) -> Found:
        return Found(
            passages=self.passages, encoder_serves_query=self.encoder_serves_query, searched_for=self.searched_for
        )


class _Leading:
    """The first of several equal questions: `ended` when its answer is kept or there is none, at the latest at `over_at`."""

    def __init__(self, request: QueryRequest, over_at: float) -> None:
        self.query = _query(request)
        self.ended = asyncio.Event()
        self.over_at = over_at


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The time during which the same search finds the same: of the tenant's `documents`, and of how is searched."""

    documents: str
    search: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Awaited:
    """An answer that was asked of a generate worker, and what it will be kept under.

    `clears` is how often the cache had been cleared before: what was made meanwhile is not kept. `answerers` are those who
    might make it: what is made by another, or by one who answers otherwise meanwhile, is not kept either.
    """

    request: QueryRequest
    epoch: Epoch
    answerers: Sequence[Who]
    found: Found
    key: CacheKey
    leading: _Leading
    clears: int


class KnownAnswers:
    """The answer cache of a retrieve worker.

    It listens to the ends of the queries that it has handed over. Equal questions with equal passages that come meanwhile
    wait for the first one's answer, but no more than `most_waiting` at once.
    """

    def __init__(
        self,
        broker: Broker,
        cache: Cache,
        fleet: FleetView,
        epoch: DocumentEpoch,
        *,
        search: Mapping[str, Any],
        ttl_s: float,
        most_waiting: int,
    ) -> None:
        """`search` names all settings that what is found depends on."""
        self._broker = broker
        self._cache = cache
        self._fleet = fleet
        self._epoch = epoch
        self._search = search
        self._in_use = True
        self._ttl_s = ttl_s
        self._most_waiting = most_waiting
        self._waiting = 0
        self._awaited: dict[tuple[str, str], _Awaited] = {}
        self._leading: dict[CacheKey, _Leading] = {}

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Hear how queries end, during the body; without a cache there is nothing to hear it for."""
        if not self._cache.levels:
            yield
            return
        async with listening(self._broker, subjects.answer_end("*", "*"), hear=self._hear):
            yield

    def adjust(self, *, search: Mapping[str, Any], in_use: bool) -> None:
        """From now on it is searched by these settings; `in_use`: whether answers are given again, and kept."""
        self._search = search
        self._in_use = in_use

    async def epoch(self, request: QueryRequest) -> Epoch | None:
        """The epoch, to be read before a search; None for what is not to be cached."""
        wanted = self._in_use and self._cache.levels and request.cache and request.generate
        if not (wanted and self._answerers()):
            return None
        search = self._search
        return Epoch(documents=await self._epoch(request.tenant), search=search)

    async def at_once(self, request: QueryRequest, epoch: Epoch) -> KnownAnswer | None:
        """The answer that this question had in this epoch."""
        return await self._get(_key_of_epoch(request, who, epoch) for who in self._answerers())

    async def for_passages(
        self, request: QueryRequest, epoch: Epoch, found: Found, *, left_s: float
    ) -> KnownAnswer | None:
        """The answer that this question had with these passages; None: hand it over, the answer is listened for."""
        now = asyncio.get_running_loop().time
        waits_until = now() + min(MOST_WAIT_S, WAIT_SHARE * left_s)
        awaited = partial(_Awaited, request=request, epoch=epoch, found=found, clears=self._cache.clears)
        ours = _Leading(request, over_at=now() + left_s)
        while answerers := self._answerers():
            keys = [key_of_passages(request, who, found) for who in answerers]
            if (known := await self._get(keys)) is not None:
                return known
            leading = self._leading.get(keys[0])
            if leading is None or leading.query == ours.query or not await self._ended(leading, waits_until):
                self._lead(awaited(key=keys[0], leading=ours, answerers=answerers))
                break
        return None

    def forget(self, request: QueryRequest) -> None:
        """The question was not handed over after all."""
        self._done(_query(request))

    async def _ended(self, leading: _Leading, waits_until: float) -> bool:
        """Whether the answer that is waited for, if there is room to wait, came in time."""
        over = min(leading.over_at, waits_until) <= asyncio.get_running_loop().time()
        if over or self._waiting >= self._most_waiting:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout_at(waits_until):
                return await leading.ended.wait()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    def _lead(self, awaited: _Awaited) -> None:
        self._done(awaited.leading.query)  # it was delivered before
        self._drop_old()
        self._leading[awaited.key] = awaited.leading
        self._awaited[awaited.leading.query] = awaited

    def _drop_old(self) -> None:
        """Make room; ends are not heard while the broker is away, and nothing comes after the deadline."""
        now = asyncio.get_running_loop().time()
        while (oldest := next(iter(self._awaited.values()), None)) is not None:
            if len(self._awaited) < MAX_AWAITED and oldest.leading.over_at > now:
                break
            self._done(oldest.leading.query)

    def _done(self, query: tuple[str, str]) -> _Awaited | None:
        awaited = self._awaited.pop(query, None)
        if awaited is not None:
            awaited.leading.ended.set()
            if self._leading.get(awaited.key) is awaited.leading:
                del self._leading[awaited.key]
        return awaited

    async def _hear(self, message: Live) -> None:
        *_, tenant, query_id, _ = message.subject.split(".")
        awaited = self._awaited.get((tenant, query_id))
        if awaited is None:
            return
        try:
            terminal = read_terminal(message.data, tenant, query_id)
            if isinstance(terminal, Completed) and terminal.finish_reason == "stop" and terminal.model is not None:
                await self._keep(awaited, terminal)
        except WaggleError as error:
            log.warning("an answer was not kept", reason=str(error))
        finally:
            self._done((tenant, query_id))

    async def _keep(self, awaited: _Awaited, completed: Completed) -> None:
        if self._cache.clears != awaited.clears:  # it may rest on what the cache was cleared for
            return
        request, found, who = awaited.request, awaited.found, _signing(completed, self._answerers())
        if who is None or who != _signing(completed, awaited.answerers) or not self._in_use:
            return
        value = KnownAnswer(
            searched_for=found.searched_for,
            passages=found.passages,
            encoder_serves_query=found.encoder_serves_query,
            answer=completed.answer or "",
            answered=completed.answered,
            citations=completed.citations,
            model=completed.model,
            prompt_version=completed.prompt_version,
        )
        data = value.model_dump_json().encode()
        await self._cache.set(key_of_passages(request, who, found), data, self._ttl_s)
        # Settings that were exchanged meanwhile may have been so before the search, or after.
        if awaited.epoch.search is self._search and not _is_makeshift(found, who):
            await self._cache.set(_key_of_epoch(request, who, awaited.epoch), data, self._ttl_s)

    async def _get(self, keys: Iterable[CacheKey]) -> KnownAnswer | None:
        for key in keys:
            if (data := await self._cache.get(key)) is None:
                continue
            try:
                return KnownAnswer.model_validate_json(data)
            except ValidationError as error:
                log.warning("a cached answer cannot be read, it is made anew", reason=str(error))
                await self._cache.delete(key)
        return None

    def _answerers(self) -> list[Who]:
        """Who of those that answer now has said who it is; mostly they are all the same."""
        heartbeats = [member.heartbeat for member in self._fleet.members() if member.alive]
        answerers = [
            Who(
                model=told.facts[FACT_MODEL],
                prompt_version=told.facts.get(FACT_PROMPT_VERSION),
                parameters=told.facts.get(FACT_PARAMETERS, ""),
                release=told.version,
            )
            for told in reversed(heartbeats)
            if told.track == STABLE and FACT_MODEL in told.facts
        ]
        return list(dict.fromkeys(answerers))


def _signing(completed: Completed, answerers: Sequence[Who]) -> Who | None:
    """Who made an answer; None when it cannot be told, because others with the same model have other settings."""
    signed = (completed.model, completed.prompt_version)
    possible = [who for who in answerers if (who.model, who.prompt_version) == signed]
    return possible[0] if len(possible) == 1 else None


def _key_of_epoch(request: QueryRequest, who: Who, epoch: Epoch) -> CacheKey:
    return key_of_epoch(request, who, epoch=epoch.documents, search=epoch.search)


def _query(request: QueryRequest) -> tuple[str, str]:
    return request.tenant, request.query_id


def _is_makeshift(found: Found, who: Who) -> bool:
    """Whether at another time, with no lack of it, something else would be found. Who has no prompts rewrites nothing."""
    return RERANK_SKIPPED in found.timings_ms or (
        CONDENSE_SKIPPED in found.timings_ms and who.prompt_version is not None
    )

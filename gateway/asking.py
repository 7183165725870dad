"""A question on its way: listened to before it is asked, and ended by its deadline even if nobody else ends it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Delta, Failed, Retrieved
from contracts.errors import ErrorCode, TransientError
from contracts.identifiers import new_id
from contracts.queries import QueryRequest
from contracts.runtime_config import RuntimeConfig
from gateway import problems
from gateway.admission import Admission, Stay
from gateway.identity import Identity
from gateway.query_schemas import QueryBody
from gateway.stages import Stages
from messaging.answers import AnswerReader, AnswerStream, AnswerTimeoutError
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals

AnyEvent = Retrieved | Delta | Completed | Failed | Cancelled

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question that the broker has taken."""

    tenant: str
    query_id: str
    principal: str
    deadline_s: float
    left_s: float
    """Of that, when it was asked: it may have waited for its turn before."""
    started: float
    """`time.monotonic()` when the request arrived."""
    answer: AnswerStream
    stay: Stay
    """The room that it takes at the stages."""
    is_joined: bool = False
    """It was asked before: what there is of its answer is read, too."""
    may_be_joined: bool = False
    """It was asked under a key by which its asker may come again: it is not withdrawn when the asker leaves."""

    @property
    def elapsed_ms(self) -> float:
        return (time.monotonic() - self.started) * 1000


class Asking:
    """Asks questions and follows their answers."""

    def __init__(
        self,
        *,
        queries: Queries,
        reader: AnswerReader,
        terminals: Terminals,
        storage: Storage,
        admission: Admission,
        stages: Stages,
        deadline_grace_s: float,
    ) -> None:
        self._queries = queries
        self._reader = reader
        self._terminals = terminals
        self._storage = storage
        self._admission = admission
        self._stages = stages
        self._grace_s = deadline_grace_s
        self._top_k: int | None = None
        self._live: set[tuple[str, str]] = set()

    def adjust(self, config: RuntimeConfig) -> None:
        """Ask for so many passages from now on where a body says nothing of it."""
        self._top_k = config.top_k

    def is_live(self, tenant: str, query_id: str) -> bool:
        """Whether somebody waits here for the answer."""
        return (tenant, query_id) in self._live

    @asynccontextmanager
    async def ask(
        self, identity: Identity, body: QueryBody, *, stream: bool, query_id: str | None = None
    ) -> AsyncIterator[Asked]:
        """Ask, and read the answer inside, with its pieces if `stream`. A question that was asked before under its `query_id` is
        not asked again: its answer is read from the beginning, as long as the broker has it.

        Raises a 429 problem when it could not be answered in time, `BrokerUnavailableError` or `StreamFullError`.
        """
        started = time.monotonic()
        joined = query_id is not None and await self.was_asked(identity.tenant, query_id)
        stay = (
            Stay(identity.tenant)
            if joined
            else await self._admission.question(identity.tenant, body.deadline_s, generate=body.generate)
        )
        try:
            async with self._asked(
                identity, body, stay, started, stream=stream, query_id=query_id, joined=joined
            ) as asked:
                yield asked
        finally:
            stay.end()

    @asynccontextmanager
    async def _asked(
        self,
        identity: Identity,
        body: QueryBody,
        stay: Stay,
        started: float,
        *,
        stream: bool,
        query_id: str | None,
        joined: bool,
    ) -> AsyncIterator[Asked]:
        left_s = body.deadline_s - (time.monotonic() - started)
        if left_s <= 0:
            raise problems.too_many(
                f"It took longer than the {body.deadline_s:g} s that this question may take to let it in: nothing was accepted. "
                "Allow more time.",
                policy="queries",
                allowed=1,
                window_s=1,
                retry_after_s=1,
            )
        top_k = body.top_k if self._top_k is None or "top_k" in body.model_fields_set else self._top_k
        request = _request(identity, body, top_k=top_k, stream=stream, query_id=query_id or new_id())
        async with self._reader.open(request.tenant, request.query_id) as answer:
            if not joined:
                await self._queries.ask(request, budget_s=left_s)
            with self._living(request.tenant, request.query_id):
                yield Asked(
                    tenant=request.tenant,
                    query_id=request.query_id,
                    principal=request.principal,
                    deadline_s=body.deadline_s,
                    left_s=left_s,
                    started=started,
                    answer=answer,
                    stay=stay,
                    is_joined=joined,
                    may_be_joined=query_id is not None,
                )

    async def was_asked(self, tenant: str, query_id: str) -> bool:
        """Whether somebody waits for its answer here, or the broker has anything of it."""
        if self.is_live(tenant, query_id) or await self._terminals.find(tenant, query_id) is not None:
            return True
        return await self._storage.last(topology.ANSWERS.name, subjects.answer(tenant, query_id)) is not None

    async def events(self, asked: Asked) -> AsyncIterator[AnyEvent]:
        """The answer, up to its terminal.

        The keeper ends a query at its deadline; if none lives, this does, shortly after. Raises `BrokerUnavailableError`
        when not even that is possible.
        """
        try:
            async for event in asked.answer.events(timeout_s=asked.left_s + self._grace_s, from_start=asked.is_joined):
                if not asked.is_joined:
                    self._note(asked, event)
                yield event
        except AnswerTimeoutError:
            event = await self._end(asked)
            self._note(asked, event)
            yield event

    def _note(self, asked: Asked, event: AnyEvent) -> None:
        if isinstance(event, Retrieved):
            asked.stay.end(self._stages.retrieve)
        if isinstance(event, Completed | Failed):
            asked.stay.end()
            self._stages.ended(late=event.kind == "failed" and event.code == ErrorCode.DEADLINE_EXCEEDED)

    @contextmanager
    def _living(self, tenant: str, query_id: str) -> Iterator[None]:
        self._live.add((tenant, query_id))
        try:
            yield
        finally:
            self._live.discard((tenant, query_id))

    async def _end(self, asked: Asked) -> AnyEvent:
        log.warning("nobody ended a query by its deadline", query_id=asked.query_id)
        failed = Failed(
            tenant=asked.tenant,
            query_id=asked.query_id,
            principal=asked.principal,
            code=ErrorCode.DEADLINE_EXCEEDED,
            message=f"There was no answer within {asked.deadline_s:g} s.",
            retryable=True,
        )
        if await self._terminals.end(failed):
            return failed
        return await self._terminals.find(asked.tenant, asked.query_id) or failed

    async def cancel(self, tenant: str, query_id: str, principal: str) -> bool:
        """Withdraw a query that nobody waits for. False when it had ended. A broker that is away is no error here."""
        try:
            return await self._queries.cancel(tenant, query_id, principal)
        except TransientError as error:
            log.warning("a query was not cancelled, its deadline will end it", query_id=query_id, reason=str(error))
            return False


def _request(identity: Identity, body: QueryBody, *, top_k: int, stream: bool, query_id: str) -> QueryRequest:
    return QueryRequest(
        query_id=query_id,
        tenant=identity.tenant,
        principal=identity.principal,
        query=body.query,
        messages=body.messages,
        top_k=top_k,
        mode=body.mode,
        filters=body.filters,
        generate=body.generate,
        stream=stream,
        generation=body.generation,
        cache=body.cache,
    )

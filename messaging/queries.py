"""Asking questions over NATS, and withdrawing them."""

from __future__ import annotations

from nats.js.api import PubAck

from contracts import subjects, topology
from contracts.answers import Cancelled
from contracts.events import QueryFact
from contracts.identifiers import ANONYMOUS
from contracts.queries import DEFAULT_DEADLINE_S, MAX_DEADLINE_S, QueryRequest
from messaging.broker import Broker
from messaging.events import Events
from messaging.storage import Storage
from messaging.terminals import Terminals


class Queries:
    """The entrance of the query path."""

    def __init__(self, broker: Broker, *, storage: Storage | None = None) -> None:
        self._broker = broker
        self._terminals = Terminals(broker, storage=storage)
        self._events = Events(broker)

    async def ask(self, request: QueryRequest, *, budget_s: float = DEFAULT_DEADLINE_S) -> PubAck:
        """Hand a question to the retrieve workers; it ends within `budget_s` of the broker's time of this message.

        Open the answer (`AnswerReader.open`) first. Raises `ValueError` for a budget that is not in (0,
        `MAX_DEADLINE_S`], `StreamFullError` when the queue is full, and `BrokerUnavailableError` when it is not known
        whether the question was taken: asked again under the same id, it is taken once.
        """
        if not 0 < budget_s <= MAX_DEADLINE_S:
            raise ValueError(f"a budget of {budget_s} s is not within (0, {MAX_DEADLINE_S:.0f}]")
        return await self._broker.publish(
            subjects.query_request(request.tenant),
            request,
            stream=topology.QUERY,
            message_id=f"{request.tenant}.{request.query_id}",  # the stream is shared: ids of two tenants may be equal
            headers={
                subjects.HEADER_BUDGET_MS: str(max(1, round(budget_s * 1000))),
                subjects.HEADER_QUERY_ID: request.query_id,
            },
        )

    async def cancel(self, tenant: str, query_id: str, principal: str = ANONYMOUS) -> bool:
        """Withdraw a query: its terminal first, then word to the workers. False when it had ended before."""
        cancelled = Cancelled(tenant=tenant, query_id=query_id, principal=principal)
        if not await self._terminals.end(cancelled):
            return False
        await self._broker.nc.publish(subjects.cancel(tenant, query_id))
        await self._events.query(QueryFact.CANCELLED, tenant=tenant, query_id=query_id, principal=principal)
        return True

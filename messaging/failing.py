"""Ends queries that get no answer."""

from __future__ import annotations

from contracts.answers import Failed
from contracts.documents import Failure
from contracts.events import QueryFact
from contracts.queries import GenerateRequest, QueryRequest
from messaging.events import Events
from messaging.terminals import Terminals


async def end_failed(
    request: QueryRequest | GenerateRequest, failure: Failure, *, terminals: Terminals, events: Events
) -> None:
    """End a query with a reason after which asking again may help, and tell it once.

    Raises `BrokerUnavailableError`; the query may then have ended, and repeating this is harmless.
    """
    failed = Failed(
        tenant=request.tenant,
        query_id=request.query_id,
        principal=request.principal,
        code=failure.code,
        message=failure.message,
        retryable=True,
    )
    if await terminals.end(failed):
        await events.query(
            QueryFact.FAILED,
            tenant=request.tenant,
            query_id=request.query_id,
            principal=request.principal,
            failure=failure,
        )

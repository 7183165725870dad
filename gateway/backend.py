"""What routes work with: the pieces of messaging, made once the broker is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends
from opentelemetry.metrics import Meter
from starlette.requests import Request

from contracts import subjects, topology
from contracts.health import BackendCheck, CheckStatus, ProcessState
from contracts.settings import GatewaySettings
from gateway import problems
from gateway.admission import Admission
from gateway.asking import Asking
from gateway.bodies import JsonBodies
from gateway.drain import Drain
from gateway.feed import DocumentFeed
from gateway.limits import Limits
from gateway.notices import Abandoned, DocumentFacts
from gateway.readmodel import ReadModel
from messaging.activity import Activity
from messaging.answers import AnswerReader
from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.checks import Checks
from messaging.fleet import FleetView
from messaging.heartbeats import HeartbeatPublisher
from messaging.ledger import DocumentLedger
from messaging.letterbox import Letterbox
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.terminals import Terminals
from messaging.uploads import Uploads

SERVICE = "gateway"
_PROBE = "readiness-probe"
"""A document id that nobody uses: whether the ledger answers is all that is asked."""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """Everything behind the routes, on one broker connection."""

    limits: Limits
    drain: Drain
    json: JsonBodies
    admission: Admission
    broker: Broker
    storage: Storage
    ledger: DocumentLedger
    batches: FinishedBatches
    uploads: Uploads
    submissions: Submissions
    queries: Queries
    terminals: Terminals
    reader: AnswerReader
    asking: Asking
    facts: DocumentFacts
    abandoned: Abandoned
    fleet: FleetView
    readmodel: ReadModel
    feed: DocumentFeed
    letterbox: Letterbox

    async def has_answer_events(self, tenant: str, query_id: str) -> bool:
        """Whether anything of an answer has been published."""
        return await self.storage.last(topology.ANSWERS.name, subjects.answer(tenant, query_id)) is not None

    async def ledger_check(self) -> BackendCheck:
        await self.ledger.get(_PROBE, _PROBE)
        return BackendCheck(name="ledger", status=CheckStatus.OK)


@asynccontextmanager
async def connected(
    settings: GatewaySettings, broker: Broker, *, limits: Limits, drain: Drain, activity: Activity, meter: Meter
) -> AsyncIterator[Backend]:
    """A backend at work: fed, listening and telling the fleet of itself. Leaving it lets accepted work finish first."""
    admission = Admission(
        broker, most_documents=settings.max_pending_documents, poll_s=limits.backlog_poll_s, meter=meter
    )
    backend = _assembled(broker, limits=limits, drain=drain, admission=admission)
    await backend.facts.start()
    await backend.abandoned.start()
    await backend.fleet.start()
    checks = Checks()
    checks.add("ledger", backend.ledger_check)
    heartbeats = HeartbeatPublisher(
        broker,
        service=SERVICE,
        settings=settings,
        activity=activity,
        checks=checks,
        state=lambda: ProcessState.DRAINING if drain.begun.is_set() else ProcessState.READY,
    )
    try:
        async with asyncio.TaskGroup() as tasks:
            owned = [tasks.create_task(work.run()) for work in (backend.feed, admission, checks, heartbeats)]
            yield backend
            for task in owned:
                task.cancel()
    finally:
        await backend.submissions.close()
        await backend.uploads.close()
        await backend.readmodel.close()


def _assembled(broker: Broker, *, limits: Limits, drain: Drain, admission: Admission) -> Backend:
    storage = Storage(broker)
    ledger = DocumentLedger(broker, storage=storage)
    uploads = Uploads(broker, storage=storage)
    queries, terminals = Queries(broker, storage=storage), Terminals(broker, storage=storage)
    submissions = Submissions(broker, ledger, uploads)
    reader, readmodel = AnswerReader(broker, storage=storage), ReadModel()
    return Backend(
        limits=limits,
        drain=drain,
        json=JsonBodies(limits),
        admission=admission,
        broker=broker,
        storage=storage,
        ledger=ledger,
        batches=FinishedBatches(broker, storage=storage),
        uploads=uploads,
        submissions=submissions,
        queries=queries,
        terminals=terminals,
        reader=reader,
        asking=Asking(
            queries=queries,
            reader=reader,
            terminals=terminals,
            admission=admission,
            deadline_grace_s=limits.deadline_grace_s,
        ),
        facts=DocumentFacts(broker),
        abandoned=Abandoned(broker, grace_s=limits.resume_grace_s),
        fleet=FleetView(broker),
        readmodel=readmodel,
        feed=DocumentFeed(ledger, readmodel),
        letterbox=Letterbox(broker, storage, submissions, terminals),
    )


class Link:
    """Holds the backend once there is one; requests come before, and while the broker is away."""

    def __init__(self) -> None:
        self.backend: Backend | None = None

    def require(self) -> Backend:
        """The backend of a connected broker. Raises a 503 problem at once otherwise."""
        if self.backend is None or not self.backend.broker.is_connected:
            raise problems.unavailable("The message broker is not reachable; nothing was accepted.")
        return self.backend


def connected_backend(request: Request) -> Backend:
    """The backend of the application that serves this request. Raises a 503 problem at once when there is none."""
    return cast("Link", request.app.state.link).require()


async def _connected_backend(request: Request) -> Backend:
    """A coroutine, since the framework sends plain functions to a thread."""
    return connected_backend(request)


Connected = Annotated[Backend, Depends(_connected_backend)]

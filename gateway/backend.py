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

from contracts.runtime_config import RuntimeConfig
from contracts.settings import GatewaySettings
from gateway import problems
from gateway.admission import Admission
from gateway.admittance import Admittance, admittance
from gateway.asking import Asking
from gateway.bodies import JsonBodies
from gateway.drain import Drain
from gateway.encoding import Encoders
from gateway.feed import DocumentFeed
from gateway.fetching import Fetcher, Permission
from gateway.heartbeats import SERVICE, Heartbeats
from gateway.identity import Identity
from gateway.limits import Limits
from gateway.notices import Abandoned, DocumentFacts
from gateway.quotas import Quotas
from gateway.readmodel import ReadModel
from gateway.stages import Stages
from gateway.standing import TenantStanding
from messaging.activity import Activity
from messaging.answers import AnswerReader
from messaging.audit import AuditLog, AuditTrail
from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.configuration import ConfigBook, ConfigClerk, ConfigFollower
from messaging.fleet import FleetView
from messaging.idempotency import IdempotentRequests
from messaging.ledger import DocumentLedger
from messaging.ledger_check import NOBODY
from messaging.letterbox import Letterbox
from messaging.observing import ObserverDesk
from messaging.queries import Queries
from messaging.query_log import QueryLog
from messaging.rate_limits import Allowances
from messaging.recovery.approvals import Approvals
from messaging.recovery.audit import RecoveryLog
from messaging.recovery.incidents import IncidentBook
from messaging.recovery.pausing import PauseSwitch
from messaging.samples import MetricsPublisher
from messaging.silences import SilenceBook
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.tenants import TenantBook, TenantRegister
from messaging.terminals import Terminals
from messaging.uploads import Uploads
from observability.outgoing import PublicAddresses
from observability.telemetry import Telemetry


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
    fetcher: Fetcher
    queries: Queries
    query_log: QueryLog
    terminals: Terminals
    reader: AnswerReader
    asking: Asking
    encoders: Encoders
    facts: DocumentFacts
    abandoned: Abandoned
    fleet: FleetView
    readmodel: ReadModel
    feed: DocumentFeed
    letterbox: Letterbox
    observer: ObserverDesk
    silences: SilenceBook
    admitted: Admittance
    allowances: Allowances
    tenants: TenantRegister
    terms: TenantBook
    quotas: Quotas
    requests: IdempotentRequests
    audit: AuditTrail
    acts: AuditLog
    config: ConfigBook
    recoveries: RecoveryLog
    pause: PauseSwitch
    approvals: Approvals
    incidents: IncidentBook

    def adjust(self, config: RuntimeConfig) -> None:
        """Work by what is set there from now on, and else by the settings of this process."""
        self.admission.adjust(config)
        self.asking.adjust(config)

    async def require_ledger(self) -> None:
        """Raises `BrokerUnavailableError` when the ledger cannot be read."""
        await self.ledger.get(NOBODY, NOBODY)


@asynccontextmanager
async def connected(
    settings: GatewaySettings,
    broker: Broker,
    *,
    limits: Limits,
    drain: Drain,
    activity: Activity,
    telemetry: Telemetry,
) -> AsyncIterator[Backend]:
    """A backend at work: fed, listening and telling the fleet of itself. Leaving it lets accepted work finish first."""
    async with admittance(settings, broker) as admitted:
        backend = _assembled(settings, broker, limits=limits, drain=drain, admitted=admitted, meter=telemetry.meter)
        await backend.facts.start()
        await backend.abandoned.start()
        await backend.fleet.start()
        heartbeats = Heartbeats(settings, broker, backend.ledger, drain=drain, activity=activity)
        follower = ConfigFollower(broker, backend.adjust, tell=heartbeats.tell, meter=telemetry.meter)
        works = (
            backend.feed,
            *heartbeats.works,
            follower,
            ConfigClerk(broker),
            backend.tenants,
            *admitted.works,
        )
        samples = MetricsPublisher(broker, telemetry, service=SERVICE, instance=settings.instance)
        try:
            async with asyncio.TaskGroup() as tasks:
                owned = [tasks.create_task(work.run()) for work in (*works, samples)]
                owned.append(tasks.create_task(backend.admission.run(drain.begun)))
                yield backend
                await heartbeats.last()
                await samples.publish_last()
                await admitted.uses.tell()
                for task in owned:
                    task.cancel()
        finally:
            await backend.audit.close()
            await backend.submissions.close()
            await backend.uploads.close()
            await backend.fetcher.close()
            await backend.readmodel.close()


def _fetcher(settings: GatewaySettings, limits: Limits) -> Fetcher:
    return Fetcher(
        Permission.of(settings),
        PublicAddresses(settings.url_networks, threads=limits.fetches_at_once),
        timeout_s=settings.url_timeout_s,
        at_once=limits.fetches_at_once,
    )


def _assembled(
    settings: GatewaySettings,
    broker: Broker,
    *,
    limits: Limits,
    drain: Drain,
    admitted: Admittance,
    meter: Meter,
) -> Backend:
    storage = Storage(broker)
    ledger = DocumentLedger(broker, storage=storage)
    uploads = Uploads(broker, storage=storage)
    queries, terminals = Queries(broker, storage=storage), Terminals(broker, storage=storage)
    submissions = Submissions(broker, ledger, uploads)
    reader, readmodel = AnswerReader(broker, storage=storage), ReadModel()
    feed, register = DocumentFeed(ledger, readmodel), TenantRegister(broker)
    stages = Stages(broker, poll_s=limits.backlog_poll_s, max_wait_s=settings.max_wait_s, meter=meter)
    admission = Admission(
        stages,
        TenantStanding(register, readmodel, feed),
        most_documents=settings.max_pending_documents,
        meter=meter,
    )
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
        fetcher=_fetcher(settings, limits),
        queries=queries,
        query_log=QueryLog(broker, storage=storage),
        terminals=terminals,
        reader=reader,
        asking=Asking(
            queries=queries,
            reader=reader,
            terminals=terminals,
            storage=storage,
            admission=admission,
            stages=stages,
            deadline_grace_s=limits.deadline_grace_s,
        ),
        encoders=Encoders.over(broker, limits),
        facts=DocumentFacts(broker),
        abandoned=Abandoned(broker, grace_s=limits.resume_grace_s),
        fleet=FleetView(broker),
        readmodel=readmodel,
        feed=feed,
        letterbox=Letterbox(broker, storage, submissions, terminals),
        observer=ObserverDesk(broker),
        silences=SilenceBook(broker),
        admitted=admitted,
        allowances=Allowances(broker),
        tenants=register,
        terms=TenantBook(broker),
        quotas=Quotas(settings, register, readmodel, feed),
        requests=IdempotentRequests(broker),
        audit=AuditTrail(broker),
        acts=AuditLog(broker),
        config=ConfigBook(broker),
        recoveries=RecoveryLog(broker),
        pause=PauseSwitch(broker),
        approvals=Approvals(broker),
        incidents=IncidentBook(broker),
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

    async def admit(self, shown: str) -> Identity | None:
        """Who shows this, if it opens anything now. Raises a 503 problem while that is not known."""
        if self.backend is None or not self.backend.admitted.ring.known.is_set():
            raise problems.unavailable("The API keys are not known yet; nothing was accepted.")
        return await self.backend.admitted.admit(shown)


def connected_backend(request: Request) -> Backend:
    """The backend of the application that serves this request. Raises a 503 problem at once when there is none."""
    return cast("Link", request.app.state.link).require()


async def _connected_backend(request: Request) -> Backend:
    """A coroutine, since the framework sends plain functions to a thread."""
    return connected_backend(request)


Connected = Annotated[Backend, Depends(_connected_backend)]

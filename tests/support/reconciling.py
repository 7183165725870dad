"""A reconciler that does not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.metrics import NoOpMeter

from contracts import subjects, topology
from contracts.reconciliation import ReconcileEvent, Remedy
from messaging.broker import Broker
from messaging.storage import Storage
from workers.keeper.reconciliation.factory import reconciler
from workers.keeper.reconciliation.finding import Rhythm
from workers.keeper.reconciliation.reconciler import Reconciler

AT_ONCE = Rhythm(pause_s=0.1, index_pause_s=0.1, uploads_pause_s=0.1, settled_s=0, orphaned_s=0, confirm_s=0.05)


@asynccontextmanager
async def reconciling(
    broker: Broker, *, table: topology.Topology, rhythm: Rhythm = AT_ONCE, bury_unrecorded: bool = False
) -> AsyncIterator[Reconciler]:
    async with reconciler(
        broker, meter=NoOpMeter("test"), rhythm=rhythm, table=table, bury_unrecorded=bury_unrecorded
    ) as ours:
        yield ours


async def found(reconciler: Reconciler) -> list[tuple[Remedy, str | None]]:
    """What is amiss: remedies with the documents."""
    return [(finding.remedy, finding.document_id) for finding in (await reconciler.survey()).findings]


async def done(reconciler: Reconciler) -> list[tuple[Remedy, str | None]]:
    """What was put right now."""
    return [(finding.remedy, finding.document_id) for finding in (await reconciler.reconcile_all()).findings]


async def told(broker: Broker) -> list[ReconcileEvent]:
    """The events of all reconcilers so far."""
    stored = await Storage(broker).following(topology.EVENTS.name, f"{subjects.EVENTS}.reconcile.*.*")
    return [ReconcileEvent.from_bytes(message.data) for message in stored]

"""Puts a reconciler together over one broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry.metrics import Meter

from contracts import topology
from messaging.batches import FinishedBatches
from messaging.broker import Broker
from messaging.census import IndexCensus
from messaging.document_failures import DocumentFailures
from messaging.document_letters import DocumentLetters
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.uploads import Uploads
from workers.keeper.exhaustion import Exhaustion
from workers.keeper.reconciliation.documents import StalledDocuments
from workers.keeper.reconciliation.finding import Look, Rhythm
from workers.keeper.reconciliation.letters import LettersOfTheDeleted
from workers.keeper.reconciliation.messages import StrandedMessages
from workers.keeper.reconciliation.reconciler import Reconciler
from workers.keeper.reconciliation.rows import IndexRows
from workers.keeper.reconciliation.uploads import OrphanUploads


@asynccontextmanager
async def reconciler(
    broker: Broker,
    *,
    meter: Meter,
    rhythm: Rhythm = Rhythm(),  # noqa: B008 (frozen)
    table: topology.Topology = topology.Topology(),  # noqa: B008 (frozen)
    bury_unrecorded: bool = False,
) -> AsyncIterator[Reconciler]:
    """A reconciler with all its looks; what it submits is carried through before the block ends.

    `bury_unrecorded` is a person's word that rows without a record are to go.
    """
    storage = Storage(broker)
    ledger, uploads = DocumentLedger(broker, storage=storage), Uploads(broker, storage=storage)
    submissions = Submissions(broker, ledger, uploads)
    failures = DocumentFailures(broker, ledger, Events(broker))
    looks: list[Look] = [
        StrandedMessages(broker, storage, Exhaustion(broker), table, rhythm),
        StalledDocuments(
            storage, ledger, submissions, failures, broker.clock, FinishedBatches(broker, storage=storage), rhythm
        ),
        LettersOfTheDeleted(DocumentLetters(storage), ledger, rhythm),
        IndexRows(broker, IndexCensus(broker), ledger, submissions, rhythm, bury_unrecorded=bury_unrecorded),
        OrphanUploads(broker, storage, ledger, uploads, rhythm),
    ]
    try:
        yield Reconciler(broker, looks, meter=meter, rhythm=rhythm)
    finally:
        await submissions.close()
        await uploads.close()

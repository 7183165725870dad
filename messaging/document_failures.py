"""How a document ends failed."""

from __future__ import annotations

import structlog

from contracts import subjects, topology
from contracts.documents import EmbedRequest, Failure, GenerationState, IngestRequest, PurgeRequest
from contracts.events import DocumentFact
from messaging.broker import Broker
from messaging.errors import StreamFullError
from messaging.events import Events
from messaging.ledger import DocumentLedger, DocumentNotFoundError

log = structlog.get_logger(__name__)


class DocumentFailures:
    """Ends generations whose work is given up, whoever gives it up."""

    def __init__(self, broker: Broker, ledger: DocumentLedger, events: Events) -> None:
        self._broker = broker
        self._ledger = ledger
        self._events = events

    async def fail(self, request: IngestRequest | EmbedRequest, failure: Failure) -> None:
        """End the generation of a request with a reason, tell it, and have its rows purged.

        One that has ended otherwise is left alone; repeating this is harmless. Raises what the ledger and
        `Broker.publish` raise.
        """
        try:
            record = await self._ledger.fail(request.tenant, request.document_id, request.generation, failure)
        except DocumentNotFoundError:
            return
        ended = record.generation(request.generation)
        if ended is None or ended.state is not GenerationState.FAILED:
            return
        await self._events.document(DocumentFact.FAILED, record, request.generation)
        if ended.plan is not None:  # without a plan no batch was ever sent out
            await request_purge(self._broker, request.tenant, request.document_id, request.generation)


async def request_purge(broker: Broker, tenant: str, document_id: str, generation: str) -> None:
    """Have the index rows of a void generation deleted.

    A full queue is left alone: whoever waited for room there might be the one who makes room. The reconciler finds the rows
    and asks again. Raises what else `Broker.publish` raises.
    """
    try:
        await broker.publish(
            subjects.embed_purge(tenant),
            PurgeRequest(tenant=tenant, document_id=document_id, generation=generation),
            stream=topology.EMBED,
            message_id=f"purge.{tenant}.{document_id}.{generation}",
        )
    except StreamFullError as error:
        log.warning("purge left to the reconciler", tenant=tenant, document_id=document_id, reason=str(error))

"""The simplest real message, for tests of delivery."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.documents import PurgeRequest
from contracts.identifiers import DEFAULT_TENANT
from messaging.broker import Broker
from messaging.retries import RetryDelays

CONSUMER = topology.PURGE_WORKERS
QUICK = RetryDelays(first_s=0.05, max_s=0.2)


def purge(document_id: str, *, tenant: str = DEFAULT_TENANT) -> PurgeRequest:
    return PurgeRequest(tenant=tenant, document_id=document_id, generation="g1")


async def send(broker: Broker, *document_ids: str, tenant: str = DEFAULT_TENANT) -> None:
    """Store one purge request per id."""
    for document_id in document_ids:
        await broker.publish(
            subjects.embed_purge(tenant),
            purge(document_id, tenant=tenant),
            stream=topology.EMBED,
            message_id=document_id,
        )


async def send_bytes(broker: Broker, payload: bytes, *, tenant: str = DEFAULT_TENANT) -> None:
    """Store anything where a purge request is expected."""
    await broker.publish_bytes(subjects.embed_purge(tenant), payload, stream=topology.EMBED.name)


async def left(broker: Broker) -> int:
    """How many messages the work queue still holds."""
    return (await broker.js.stream_info(topology.EMBED.name)).state.messages

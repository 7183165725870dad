"""The state of notifications in the bucket `alerts`, and their history in the stream OPS."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.notifications import NotificationEvent
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.record_buckets import RecordBucket
from observability.notifications.state import GroupRecord

PREFIX = "notifications"
_REVISION_BITS = 32


class BucketRecords(RecordBucket[GroupRecord]):
    """One key for each group. What a record that cannot be read was told of is told again, which is better than never."""

    def __init__(self, broker: Broker, *, bucket: topology.KeyValue = topology.ALERTS) -> None:
        super().__init__(broker, GroupRecord, prefix=PREFIX, key_of=lambda each: each.key, bucket=bucket)


async def fencing_token(broker: Broker, lease_revision: int, *, leases: topology.KeyValue = topology.LEASES) -> int:
    """A token that grows from lease to lease, also where the bucket of leases was made anew and its revisions begin again, as
    in a system that was restored from a backup. Raises `BrokerUnavailableError` when the broker is away.
    """
    bucket = Bucket(broker, leases)
    created_at = await bucket.storage.created_at(bucket.stream)
    return (int(created_at.timestamp()) << _REVISION_BITS) + lease_revision


class StreamHistory:
    """A `History` in the stream OPS, where it is kept for weeks. Raises what `Broker.publish` raises."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def keep(self, event: NotificationEvent) -> None:
        """`created_at` belongs to the id: a repeated notification with the same key is another event."""
        message_id = f"notification.{event.id}.{event.outcome}.{event.created_at.timestamp():.6f}"
        await self._broker.publish(
            subjects.notification(event.channel), event, stream=topology.OPS, message_id=message_id
        )

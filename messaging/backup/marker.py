"""What a broker says about the backup that is being, or was, restored into it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, ValidationError

from contracts import subjects, topology
from contracts.identifiers import Token, new_id
from contracts.message import Value
from messaging.backup.errors import SystemNotEmptyError
from messaging.backup.format import BUCKETS, Manifest
from messaging.broker import Broker
from messaging.buckets import Bucket, StaleRevisionError
from messaging.storage import Storage

MARKER_KEY = "restored-backup"
"""In the bucket `config`. No backup takes it along."""


class Progress(StrEnum):
    RUNNING = "running"  # begun, and perhaps cut off: the same restore goes on
    FINISHED = "finished"


class Marker(Value):
    """The restore of one backup; `restore_id` is in the ids of the generations that it makes."""

    backup_id: Token
    restore_id: Token
    progress: Progress = Progress.RUNNING
    began_at: AwareDatetime


class Markers:
    """The one marker of a broker. All methods raise `BrokerUnavailableError` when it is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bucket = Bucket(broker, topology.CONFIG)
        self._storage = Storage(broker)

    async def begin(self, manifest: Manifest) -> Marker:
        """The marker of this backup's restore, set now or by the one that was cut off.

        Raises `SystemNotEmptyError` when the broker holds anything that did not come from it.
        """
        found = await self._find()
        if found is None:
            await self._require_empty()
            marker = Marker(backup_id=manifest.id, restore_id=new_id(), began_at=self._broker.clock.now())
            try:
                await self._bucket.write(MARKER_KEY, marker.model_dump_json().encode(), revision=0)
            except StaleRevisionError:  # somebody else has begun at the same moment
                return await self.begin(manifest)
            return marker
        if found.backup_id != manifest.id:
            raise SystemNotEmptyError(f"another backup ({found.backup_id}) was restored into this broker; {_EMPTY}")
        return found

    async def finish(self, marker: Marker) -> None:
        """Say that nothing is left to be done."""
        entry = await self._bucket.get(MARKER_KEY)
        finished = marker.model_copy(update={"progress": Progress.FINISHED})
        await self._bucket.write(
            MARKER_KEY, finished.model_dump_json().encode(), revision=entry.revision if entry else 0
        )

    async def _find(self) -> Marker | None:
        entry = await self._bucket.get(MARKER_KEY)
        try:
            return Marker.model_validate_json(entry.value) if entry and entry.value is not None else None
        except ValidationError as error:
            raise SystemNotEmptyError(f"a newer release has restored a backup into this broker; {_EMPTY}") from error

    async def _require_empty(self) -> None:
        for what, stream, subject in _CONTENTS:
            count = await self._storage.count(stream, subject)
            if count:
                raise SystemNotEmptyError(f"this broker is not empty, it holds {count} {what}; {_EMPTY}")


_EMPTY = (
    "a backup is restored into an empty system. Point WAGGLE_NATS_URL at a new broker; or on one host stop Waggle "
    "(`waggle down`), move WAGGLE_DATA_DIR away, and start it again (`waggle up`)"
)
_CONTENTS = (
    ("documents", f"KV_{topology.DOCUMENTS.name}", f"$KV.{topology.DOCUMENTS.name}.>"),
    ("uploads", f"OBJ_{topology.UPLOADS.name}", f"$O.{topology.UPLOADS.name}.M.>"),
    ("dead letters", topology.DLQ.name, f"{subjects.DEAD_LETTERS}.>"),
    *(
        (f"entries of {bucket.name}", f"KV_{bucket.name}", f"$KV.{bucket.name}.>")
        for bucket in BUCKETS
        # A new observer may have alerts, and whoever restores a key, before anybody can restore.
        if bucket not in {topology.ALERTS, topology.APIKEYS}
    ),
)

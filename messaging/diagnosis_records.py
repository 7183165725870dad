"""The history of diagnoses in the bucket `alerts`."""

from __future__ import annotations

from typing import Final

from contracts import topology
from messaging.broker import Broker
from messaging.record_buckets import RecordBucket
from observability.diagnosis import EpisodeRecord

PREFIX: Final = "diagnoses"


class BucketEpisodes(RecordBucket[EpisodeRecord]):
    """One key for each episode. One that cannot be read is left out of the history."""

    def __init__(self, broker: Broker, *, bucket: topology.KeyValue = topology.ALERTS) -> None:
        super().__init__(broker, EpisodeRecord, prefix=PREFIX, key_of=lambda each: each.key, bucket=bucket)

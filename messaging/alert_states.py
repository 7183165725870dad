"""The state of rules in the bucket `alerts`."""

from __future__ import annotations

from typing import Final

from contracts import topology
from messaging.broker import Broker
from messaging.record_buckets import RecordBucket
from observability.alerting import RuleGroupRecord, record_key

PREFIX: Final = "rules"


class BucketStates(RecordBucket[RuleGroupRecord]):
    """One key for each group of rules. The alerts of a record that cannot be read begin anew."""

    def __init__(self, broker: Broker, *, bucket: topology.KeyValue = topology.ALERTS) -> None:
        super().__init__(
            broker, RuleGroupRecord, prefix=PREFIX, key_of=lambda each: record_key(each.key), bucket=bucket
        )

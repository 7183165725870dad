"""The topology table in the broker's own terms: KV and object buckets are streams with certain settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nats.js import api

from contracts import topology

UNLIMITED = -1
MAX_WAITING_PULLS = 2048
"""How many pull requests of all replicas together may wait at one consumer."""

LEAST_PAYLOAD_BYTES = 1024 * 1024
"""The broker's own default. Documents travel by reference, but batches of chunks, answers and dead letters need it."""

_COMMON: dict[str, Any] = {
    "storage": api.StorageType.FILE,
    "max_msgs": UNLIMITED,
    "max_msg_size": UNLIMITED,
    "allow_direct": True,  # single messages are read by subject without a consumer; see `replicated`
}


def payload_advice(max_payload: int) -> str:
    """What to say of a broker that takes smaller messages only."""
    return (
        f"the broker takes messages of {max_payload} bytes at most, and Waggle needs {LEAST_PAYLOAD_BYTES}: "
        "set `max_payload: 1MB` in its configuration"
    )


def stream_config(stream: topology.Stream) -> api.StreamConfig:
    """The whole configuration of a stream of the table, but for the number of replicas: see `replicated`."""
    return api.StreamConfig(
        name=stream.name,
        description=stream.why,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy(stream.retention.value),
        discard=api.DiscardPolicy(stream.discard.value),
        discard_new_per_subject=stream.discard_new_per_subject,
        max_bytes=stream.max_bytes,
        max_age=stream.max_age_s or 0,
        max_msgs_per_subject=stream.max_msgs_per_subject or UNLIMITED,
        duplicate_window=_within(stream.duplicate_window_s, stream.max_age_s),
        republish=_republish(stream.republish),
        persist_mode=api.PersistMode.ASYNC if stream.async_persist else None,
        allow_rollup_hdrs=False,
        **_COMMON,
    )


def bucket_config(bucket: topology.KeyValue) -> api.StreamConfig:
    """The stream behind a KV bucket, as the client library's `key_value()` expects it."""
    return api.StreamConfig(
        name=f"KV_{bucket.name}",
        description=bucket.why,
        subjects=[f"$KV.{bucket.name}.>"],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy(bucket.discard.value),
        max_bytes=bucket.max_bytes,
        max_age=bucket.ttl_s or 0,
        max_msgs_per_subject=bucket.history,
        duplicate_window=_within(2 * topology.MINUTE, bucket.ttl_s),
        allow_rollup_hdrs=True,
        allow_msg_ttl=True,
        deny_delete=True,
        **_COMMON,
    )


def object_bucket_config(bucket: topology.ObjectBucket) -> api.StreamConfig:
    """The stream behind an object bucket, as the client library's `object_store()` expects it."""
    return api.StreamConfig(
        name=f"OBJ_{bucket.name}",
        description=bucket.why,
        subjects=[f"$O.{bucket.name}.C.>", f"$O.{bucket.name}.M.>"],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        max_bytes=bucket.max_bytes,
        max_age=0,
        max_msgs_per_subject=UNLIMITED,
        duplicate_window=2 * topology.MINUTE,
        allow_rollup_hdrs=True,
        **_COMMON,
    )


def replicated(config: api.StreamConfig, replicas: int) -> api.StreamConfig:
    """The configuration for that many replicas.

    Any replica may answer a direct get, one that lags as well: with several of them it is switched off, and readers
    turn to the leader. The broker has asynchronous persistence for a single replica only.
    """
    if replicas == 1:
        return replace(config, num_replicas=1)
    return replace(config, num_replicas=replicas, allow_direct=False, persist_mode=None)


def consumer_config(consumer: topology.Consumer) -> api.ConsumerConfig:
    """The whole configuration of a durable pull consumer of the table."""
    return api.ConsumerConfig(
        name=consumer.durable,
        durable_name=consumer.durable,
        description=consumer.why,
        filter_subject=consumer.filter_subject,
        ack_policy=api.AckPolicy.EXPLICIT,
        deliver_policy=api.DeliverPolicy.ALL,
        ack_wait=consumer.ack_wait_s,
        max_deliver=consumer.max_deliver,
        max_ack_pending=consumer.max_ack_pending,
        max_waiting=MAX_WAITING_PULLS,
    )


def every_stream(table: topology.Topology) -> list[api.StreamConfig]:
    """All streams of the table, those behind buckets included, in the order in which they are created."""
    return [
        *(stream_config(stream) for stream in table.streams),
        *(bucket_config(bucket) for bucket in table.key_values),
        *(object_bucket_config(bucket) for bucket in table.object_buckets),
    ]


def _within(window_s: float, max_age_s: float | None) -> float:
    """The broker refuses a duplicate window longer than messages live."""
    return window_s if max_age_s is None else min(window_s, max_age_s)


def _republish(republish: topology.Republish | None) -> api.RePublish | None:
    if republish is None:
        return None
    return api.RePublish(src=republish.source, dest=republish.destination, headers_only=republish.headers_only)

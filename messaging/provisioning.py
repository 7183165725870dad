"""Make the broker match the topology table. Nothing else creates or changes streams, consumers or buckets.

Safe to run at any time and by several processes at once: what matches is left alone, what is missing is created, what
differs is set right. A change that would delete stored messages, or that the broker cannot make, is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import fields, replace
from enum import Enum
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
import structlog
from nats.js import api

from contracts import topology
from messaging import furniture
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError, ProvisioningError
from messaging.losses import losses
from messaging.replacing import replaced_when_empty
from messaging.storage import Storage

ERR_STREAM_EXISTS = 10058
RACES = 5
"""How often a change by somebody else at the same moment is looked at anew."""

T = TypeVar("T")

_IMMUTABLE = ("retention", "storage", "persist_mode")

log = structlog.get_logger(__name__)


async def provision(broker: Broker, table: topology.Topology = topology.Topology()) -> list[str]:  # noqa: B008 (frozen)
    """Apply the table and return what was done, one line each; nothing when all matched.

    `WAGGLE_REPLICAS` decides the number of replicas; unset, a stream keeps what it has (a new one: 1).

    Raises `ProvisioningError` naming the setting and both values when a change is refused; what was applied before
    stays. Raises `BrokerUnavailableError` when the broker does not answer.
    """
    if broker.nc.max_payload < furniture.LEAST_PAYLOAD_BYTES:
        raise ProvisioningError(furniture.payload_advice(broker.nc.max_payload))
    done = []
    for config in furniture.every_stream(table):
        done += await _answered(_apply_stream(broker, config), f"stream {config.name}")
    for consumer in table.consumers:
        done += await provision_consumer(broker, consumer)
    for line in done:
        log.info("provisioned", change=line)
    await broker.clock.sync(timeout_s=broker.publish_timeout_s)
    return done


async def provision_consumer(broker: Broker, consumer: topology.Consumer) -> list[str]:
    """Create or correct one durable consumer. Errors as `provision`."""
    what = f"consumer {consumer.stream.name}/{consumer.durable}"
    return await _answered(_apply_consumer(broker, consumer), what)


async def ensure_consumer(broker: Broker, consumer: topology.Consumer, table: topology.Topology) -> str | None:
    """Make sure that a consumer exists and delivers what its stream stores; what was amiss when it had to be restored.

    Where its stream is missing, so are others: all that is missing of the table is made. Raises `BrokerUnavailableError` or `ProvisioningError`, and what the
    broker answers when somebody else restores it at the same moment (a nats-py error): look again then.
    """
    names, amiss = (consumer.stream.name, consumer.durable), None
    try:
        info = await broker.js.consumer_info(*names)
    except nats.js.errors.NotFoundError:
        amiss = "it was gone"
        await _provide(broker, consumer, table)
        info = await broker.js.consumer_info(*names)
    # Looked at in this order, for the stream's end only rises.
    delivered = info.delivered.stream_seq if info.delivered else 0
    end = await Storage(broker).last_sequence(consumer.stream.name)
    if delivered <= end:
        return amiss
    await broker.js.delete_consumer(*names)
    await provision_consumer(broker, consumer)
    return f"it stood at {delivered} and its stream ends at {end}, so that it passed over what is new"


async def _provide(broker: Broker, consumer: topology.Consumer, table: topology.Topology) -> None:
    try:
        await broker.js.stream_info(consumer.stream.name)
    except nats.js.errors.NotFoundError:
        await _replenish(broker, table)
    await provision_consumer(broker, consumer)


async def _replenish(broker: Broker, table: topology.Topology) -> None:
    """Make the streams and buckets that are missing. Those that are there are left as they are, whatever they are like."""
    for config in furniture.every_stream(table):
        try:
            await broker.js.stream_info(str(config.name))
        except nats.js.errors.NotFoundError:
            replicas = broker.replicas or 1
            done = await _answered(_created(broker, furniture.replicated(config, replicas)), f"stream {config.name}")
            log.warning("a stream was gone", stream=config.name, made_here=done)


async def _answered(work: Awaitable[T], what: str) -> T:
    try:
        return await work
    except nats.js.errors.ServiceUnavailableError as error:
        raise BrokerUnavailableError(f"{what}: JetStream does not answer: {error.description or error}") from error
    except nats.js.errors.APIError as error:
        raise ProvisioningError(f"{what}: the broker refuses: {error.description or error}") from error
    except (nats.errors.Error, OSError) as error:
        raise BrokerUnavailableError(f"{what}: the broker does not answer: {error}") from error


async def _apply_stream(broker: Broker, wanted: api.StreamConfig) -> list[str]:
    for _ in range(RACES):
        try:
            info = await broker.js.stream_info(str(wanted.name))
        except nats.js.errors.NotFoundError:
            if await _created(broker, furniture.replicated(wanted, broker.replicas or 1)):
                return [f"created stream {wanted.name}"]
            continue
        replicas = broker.replicas or info.config.num_replicas or 1
        return await _correct_stream(broker, furniture.replicated(wanted, replicas), info)
    raise ProvisioningError(f"stream {wanted.name}: somebody else keeps creating and deleting it")


async def _created(broker: Broker, wanted: api.StreamConfig) -> bool:
    """False when another process created it in between."""
    try:
        info = await broker.js.add_stream(wanted)
    except nats.js.errors.BadRequestError as error:
        if error.err_code == ERR_STREAM_EXISTS:
            return False
        raise
    return bool(info.did_create)


async def _correct_stream(broker: Broker, wanted: api.StreamConfig, info: api.StreamInfo) -> list[str]:
    changes = differences(wanted, info.config)
    if not changes:
        return []
    for setting in _IMMUTABLE:
        if setting in changes:
            have, want = changes[setting]
            why = f"stream {wanted.name}: {setting} is {have} and cannot be changed to {want} in place"
            return await replaced_when_empty(broker, wanted, info, why)
    lost = await losses(broker, info, wanted, changes)
    if lost:
        raise ProvisioningError(f"stream {wanted.name}: {lost}. Remove those messages first, or keep the setting")
    await broker.js.update_stream(replace(info.config, **{name: getattr(wanted, name) for name in changes}))
    return [f"updated stream {wanted.name}: {described(changes)}"]


async def _apply_consumer(broker: Broker, consumer: topology.Consumer) -> list[str]:
    wanted = furniture.consumer_config(consumer)
    name = f"consumer {consumer.stream.name}/{consumer.durable}"
    try:
        info = await broker.js.consumer_info(consumer.stream.name, consumer.durable)
    except nats.js.errors.NotFoundError:
        await broker.js.add_consumer(consumer.stream.name, wanted)
        return [f"created {name}"]
    changes = differences(wanted, info.config)
    if not changes:
        return []
    await broker.js.add_consumer(consumer.stream.name, wanted)
    return [f"updated {name}: {described(changes)}"]


def differences(wanted: Any, live: Any) -> dict[str, tuple[Any, Any]]:
    """The settings of `wanted` that are otherwise in `live`: name -> (live, wanted).

    What the broker fills in by itself (its metadata, `none` or -1 for nothing) and what operators set is none.
    """
    found = {}
    for field in fields(wanted):
        if field.name in _NOT_OURS or (field.name == "num_replicas" and wanted.num_replicas is None):
            continue
        have, want = _plain(getattr(live, field.name)), _plain(getattr(wanted, field.name))
        if have != want:
            found[field.name] = (have, want)
    return found


_NOT_OURS = frozenset({"placement", "metadata", "max_consumers", "first_seq", "compression", "pause_until"})
"""Settings of the broker itself, and those that operators change: placement, a paused consumer. So are the replicas of
consumers, which usually have their stream's."""
_NOTHING = (None, False, 0, "", "none", "default", (), -1)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, api.Base):
        value = tuple(sorted((k, v) for k, v in value.as_dict().items() if v not in _NOTHING))
    if isinstance(value, list):
        value = tuple(sorted(map(str, value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = round(float(value), 6)
    return None if value in _NOTHING else value


def described(changes: dict[str, tuple[Any, Any]]) -> str:
    """Such differences in words."""
    return ", ".join(f"{name} {have} -> {want}" for name, (have, want) in changes.items())

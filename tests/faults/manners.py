"""Other manners of a process, for single rows: messages delivered twice, and safeguards taken away.

Each takes away one safeguard of production code, so that a control run can show what it is good for.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nats.js.api import PubAck

from contracts import topology
from messaging.delivery import Delivery, Outcome
from tests.faults.backends import BACKEND_MANNERS
from tests.faults.plans import FOLDER_VARIABLE
from tests.faults.striking import wrap


def deliver_twice() -> None:
    """Every message goes back to the broker once after it was handled, as if its acknowledgement had been lost."""

    def twice(original: Any) -> Any:
        async def ack(message: Any) -> None:
            if Delivery.of(message).attempt == 1:
                await message.nak()
            else:
                await original(message)

        return ack

    wrap("nats.aio.msg:Msg.ack", twice)


def acknowledge_first() -> None:
    """Acknowledge on arrival instead of after the effect."""

    def first(_: Any) -> Any:
        async def settle(settlement: Any, incoming: Any, call_next: Any) -> None:
            await incoming.raw.ack()
            incoming.outcome = Outcome.ACKED
            await call_next(incoming)

        return settle

    wrap("messaging.middlewares.settlement:Settlement.__call__", first)


def random_chunk_ids() -> None:
    """A repeat writes new rows; and the count of rows before the flip, which would notice, is left out, too."""
    wrap("workers.embed.embedding:chunk_id", lambda _: lambda *_: str(uuid.uuid4()))
    wrap("workers.embed.progress:Progress._require_rows", lambda _: _nothing)


def no_visibility_check() -> None:
    """Return whatever the index holds."""

    def unchecked(_: Any) -> Any:
        async def rank_all(search: Any, ledger: Any, rank: Any, *, tenant: str, reach: int) -> Any:
            return rank(await search(reach, None))

        return rank_all

    wrap("workers.retrieve.searcher:rank_visible", unchecked)


def no_purge() -> None:
    """Rows of generations that are over stay."""

    async def none_removed(*_: Any) -> int:
        return 0

    wrap("workers.embed.purging:Purging._remove", lambda _: none_removed)
    wrap("workers.embed.progress:Progress.remove_rows", lambda _: _nothing)


def deaf_to_advisories() -> None:
    """Nobody ends messages that ran out of deliveries."""
    wrap("workers.keeper.exhaustion:Exhaustion.end", lambda _: _nothing)


def no_reconciler() -> None:
    """What is cut off and leaves no message behind stays as it is."""
    wrap("workers.keeper.reconciliation.reconciler:Reconciler.run", lambda _: _nothing)


def no_watchdog() -> None:
    """A consumer that vanishes stays away."""
    wrap("messaging.watchdog:Watchdog.run", lambda _: _nothing)


def publish_blindly() -> None:
    """Hand ingest requests to the socket and call them stored."""

    def blindly(original: Any) -> Any:
        async def publish(
            broker: Any, subject: str, message: Any, *, stream: topology.Stream, **options: Any
        ) -> PubAck:
            if stream.name != topology.INGEST.name:
                acknowledged: PubAck = await original(broker, subject, message, stream=stream, **options)
                return acknowledged
            await broker.nc.publish(subject, message.to_bytes())
            return PubAck(stream=stream.name, seq=0)

        return publish

    wrap("messaging.broker:Broker.publish", blindly)


def no_hold() -> None:
    """What meets a backend that is away fails, and uses up its attempts."""

    def unheld(_: Any) -> Any:
        async def hold(_: Any, incoming: Any, call_next: Any) -> None:
            await call_next(incoming)

        return hold

    wrap("messaging.middlewares.hold:Hold.__call__", unheld)


def tell_tasks() -> None:
    """Write down with each heartbeat how many tasks the event loop has."""

    def telling(original: Any) -> Any:
        async def publish(heartbeats: Any) -> None:
            file = tasks_file(Path(os.environ[FOLDER_VARIABLE]), os.getpid())
            await asyncio.to_thread(file.write_text, str(len(asyncio.all_tasks())))
            await original(heartbeats)

        return publish

    wrap("messaging.heartbeats:HeartbeatPublisher.publish", telling)


def tasks_file(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.tasks"


async def _nothing(*_: Any, **__: Any) -> None:
    await asyncio.sleep(0)


MANNERS: Mapping[str, Callable[[], None]] = {
    manner.__name__: manner
    for manner in (
        deliver_twice,
        acknowledge_first,
        random_chunk_ids,
        no_visibility_check,
        no_purge,
        deaf_to_advisories,
        no_reconciler,
        no_watchdog,
        publish_blindly,
        no_hold,
        tell_tasks,
        *BACKEND_MANNERS,
    )
}

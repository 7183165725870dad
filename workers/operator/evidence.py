"""Keeps what a restart would destroy: the end of the log, what every thread is doing, how the queues stand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Final

from contracts import topology
from contracts.control import LONGEST_REASON, ControlAction, ControlOrder
from contracts.errors import TransientError, WaggleError
from contracts.identifiers import new_id
from contracts.platforms import Platform
from contracts.recovery import MOST_CAPTURED_BYTES, OPERATOR, Target
from messaging.broker import Broker
from messaging.consumers import standing
from messaging.control import ControlDesk
from workers.operator.fleet import LiveFleet

LOG_LINES: Final = 200
LOG_BYTES: Final = MOST_CAPTURED_BYTES // 2
STACKS_BYTES: Final = MOST_CAPTURED_BYTES // 2 - 4096
"""What is left is for headings and queues."""
PART_S: Final = 10.0
"""How long each part may take. None is worth leaving a broken process as it is."""
ANSWER_S: Final = 3.0
"""How long a process that lives may take to tell its stacks."""

_CONSUMERS: Final = {
    "ingest": (topology.INGEST_WORKERS,),
    "embed": (topology.EMBED_WORKERS, topology.PURGE_WORKERS),
    "retrieve": (topology.QUERY_WORKERS,),
    "generate": (topology.GENERATE_STABLE_WORKERS, topology.GENERATE_CANARY_WORKERS),
    "keeper": (topology.KEEPER_ADVISORIES,),
}


class EvidenceCapture:
    def __init__(self, broker: Broker, fleet: LiveFleet) -> None:
        self._broker = broker
        self._fleet = fleet
        self._desk = ControlDesk(broker, grace_s=1.0)

    async def capture(self, target: Target, *, because: str) -> str:
        """At most `MOST_CAPTURED_BYTES` in UTF-8. What cannot be had is said in its place."""
        parts = (
            ("queues", self._queues(target)),
            ("stacks", self._stacks(target, because)),
            ("log", self._log(target)),
        )
        sections = [f"== {name}\n{await _told(part)}" for name, part in parts]
        return _cut("\n".join(sections), MOST_CAPTURED_BYTES)

    async def _log(self, target: Target) -> str:
        lines = await self._platform.logs_tail(target.name, LOG_LINES)
        text = "\n".join(lines).encode(errors="replace")
        return text[-LOG_BYTES:].decode(errors="ignore")

    async def _stacks(self, target: Target, because: str) -> str:
        """Its own word, with the tasks of its loop; of one that is silent or hangs what its interpreter tells."""
        if await self._fleet.heard(target.service, target.name) is not None:
            try:
                return _cut(await self._ordered_stacks(target, because), STACKS_BYTES)
            except TransientError as error:
                told = await self._platform.stacks(target.name)
                return _cut(f"it does not tell its stacks: {error}\n{told}", STACKS_BYTES)
        return _cut(f"it is silent\n{await self._platform.stacks(target.name)}", STACKS_BYTES)

    async def _ordered_stacks(self, target: Target, because: str) -> str:
        order = ControlOrder(
            order_id=new_id(),
            service=target.service,
            instance=target.name,
            action=ControlAction.DUMP_STACKS,
            reason=because[:LONGEST_REASON],
            principal=OPERATOR,
            expires_at=self._broker.clock.now() + timedelta(seconds=ANSWER_S),
        )
        reply = await self._desk.order(order)
        return reply.evidence or reply.detail

    async def _queues(self, target: Target) -> str:
        consumers = _CONSUMERS.get(target.service, ())
        lines = [f"{consumer.durable}: {await standing(self._broker, consumer)}" for consumer in consumers]
        return "\n".join(lines) or "it takes no work from queues"

    @property
    def _platform(self) -> Platform:
        return self._fleet.platform


async def _told(part: Awaitable[str]) -> str:
    try:
        async with asyncio.timeout(PART_S):
            return await part
    except TimeoutError:
        return f"not known: it took longer than {PART_S:g} s"
    except WaggleError as error:
        return f"not known: {error}"


def _cut(text: str, most_bytes: int) -> str:
    return text.encode(errors="replace")[:most_bytes].decode(errors="ignore")

"""Has what is cached forgotten: what is shared, and what the processes of a service keep in their memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from contracts.cache_settings import CacheSettings
from contracts.control import LONGEST_REASON, ControlAction, ControlOrder, ControlOutcome
from contracts.errors import TransientError
from contracts.health import Heartbeat
from contracts.identifiers import derived_id
from contracts.recovery import OPERATOR, RecoveryCommand
from messaging.broker import Broker
from messaging.caching.factory import build_cache
from messaging.control import ControlDesk
from workers.operator.actions.base import Action, Done
from workers.operator.blast_radius import NOTHING_TAKEN, Footprint
from workers.operator.errors import Refusal, RefusedError
from workers.operator.fleet import LiveFleet

ORDER_S: Final = 5.0
"""How long a process may take to forget."""


class ClearCache(Action):
    """It is computed again when it is asked for."""

    deadline_s = 60.0

    def __init__(self, broker: Broker, settings: CacheSettings, fleet: LiveFleet) -> None:
        self._broker = broker
        self._settings = settings
        self._fleet = fleet
        self._desk = ControlDesk(broker, grace_s=1.0)

    async def check(self, command: RecoveryCommand) -> Footprint:
        if command.target.name != command.target.service:
            raise RefusedError(
                Refusal.UNKNOWN_TARGET, f"{command.target.name} is not the service {command.target.service}"
            )
        if not await self._fleet.alive(command.target.service):
            raise RefusedError(Refusal.UNKNOWN_TARGET, f"no process of {command.target.service} is heard of")
        return NOTHING_TAKEN

    async def do(self, command: RecoveryCommand) -> Done:
        removed = await self._clear_shared()
        alive = await self._fleet.alive(command.target.service)
        outcomes = await asyncio.gather(*(self._order(command, beat) for beat in alive))
        done = sum(outcome is ControlOutcome.DONE for outcome in outcomes)
        without = sum(outcome is ControlOutcome.REFUSED for outcome in outcomes)
        return Done(
            detail=f"{removed} shared entries removed; of {len(alive)} processes of {command.target.service} {done} forgot "
            f"theirs, {without} keep none, {len(alive) - done - without} did not answer"
        )

    async def _clear_shared(self) -> int:
        """Every process of the fleet is told, too."""
        cache = build_cache(self._settings, self._broker)
        await cache.open()
        try:
            return await cache.clear(None)
        finally:
            await cache.close()

    async def _order(self, command: RecoveryCommand, beat: Heartbeat) -> ControlOutcome | None:
        order = ControlOrder(
            order_id=derived_id(command.id, beat.instance),
            service=beat.service,
            instance=beat.instance,
            action=ControlAction.CLEAR_CACHE,
            reason=command.reason[:LONGEST_REASON],
            principal=OPERATOR,
            expires_at=self._broker.clock.now() + timedelta(seconds=ORDER_S),
        )
        try:
            return (await self._desk.order(order)).outcome
        except TransientError:  # counted as one that did not answer
            return None

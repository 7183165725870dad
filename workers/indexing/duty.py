"""The index of a worker: opened at the start, told of in heartbeats, and used at its other address when that is ordered."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from contracts.errors import WaggleError
from contracts.health import AWAY, FACT_INDEX, FACT_INDEX_IN_RESERVE, READY
from contracts.runtime_config import EndpointClass, RuntimeConfig
from contracts.settings import IndexSettings
from messaging.app import WorkerApp
from messaging.breaker import Breaker
from messaging.configuration import ConfigBook
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.entrances import TwoEntrances
from workers.indexing.factory import build_entrances, build_index
from workers.indexing.guarded import GuardedIndex

LOOK_S: Final = 20.0
"""How long the address that is not used may take to show that it could be."""

log = structlog.get_logger(__name__)


class IndexDuty:
    """`bare` is the index as it is, for looks; messages use what `open` returns, behind the breaker."""

    bare: VectorIndex

    def __init__(self, app: WorkerApp, settings: IndexSettings) -> None:
        self._app = app
        self._settings = settings
        self._entrances: TwoEntrances | None = None

    async def open(self, identity: EncoderIdentity, breaker: Breaker) -> GuardedIndex:
        """Open it where the configuration says. The caller closes it."""
        active = await self._configured()
        # In a thread, as the encoder is: importing an engine takes seconds, in which heartbeats go on.
        self.bare = await asyncio.to_thread(self._build, identity, active)
        guarded = GuardedIndex(self.bare, breaker)
        await guarded.open()
        return guarded

    def adjust(self, config: RuntimeConfig) -> None:
        """Use the address that the configuration names, from the next call on."""
        wanted = config.active_index or EndpointClass.PRIMARY
        if self._entrances is None or self._entrances.active is wanted:
            return
        self._entrances.use(wanted)
        self._app.tell(FACT_INDEX_IN_RESERVE, AWAY)  # until it was looked at
        log.info("the index is used at its other address", address=wanted.value)

    async def watch(self) -> None:
        """Tell whether the address that is not used could be, until cancelled."""
        if self._entrances is None:
            await asyncio.Event().wait()
            return
        before = ""
        while True:
            state, reason = await self._look_beside(self._entrances)
            if state != before:
                log.info("the address of the index that is not used", state=state, reason=reason)
            before = state
            self._app.tell(FACT_INDEX_IN_RESERVE, state)
            await asyncio.sleep(self._app.settings.probe_interval_s)

    @staticmethod
    async def _look_beside(entrances: TwoEntrances) -> tuple[str, str]:
        looked_at = entrances.active
        try:
            async with asyncio.timeout(LOOK_S):
                await entrances.look_beside()
        except (WaggleError, TimeoutError) as error:
            return AWAY, str(error) or f"no answer within {LOOK_S:g} s"
        return (READY, "") if entrances.active is looked_at else (AWAY, "it was exchanged meanwhile")

    async def _configured(self) -> EndpointClass:
        if self._settings.at_standby() is None:
            return EndpointClass.PRIMARY
        current = await ConfigBook(self._app.broker).current()
        return (current and current.values.active_index) or EndpointClass.PRIMARY

    def _build(self, identity: EncoderIdentity, active: EndpointClass) -> VectorIndex:
        self._entrances = build_entrances(self._settings, identity, active=active, on_move=self._tell_name)
        return self._entrances or build_index(self._settings, identity, on_move=self._tell_name)

    def _tell_name(self, name: str) -> None:
        self._app.tell(FACT_INDEX, f"{self._settings.index}:{name}")

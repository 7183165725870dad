"""The index of a worker: opened at the start, told of in heartbeats, and used at its other address when that is ordered."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from contracts.errors import PermanentError, TransientError, WaggleError
from contracts.health import AWAY, FACT_INDEX, FACT_INDEX_IN_RESERVE, READY
from contracts.runtime_config import EndpointClass, RuntimeConfig
from contracts.settings import IndexKind, IndexSettings
from messaging.app import WorkerApp
from messaging.breaker import Breaker
from messaging.configuration import ConfigBook
from messaging.index_marks import IndexMark
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.entrances import TwoEntrances
from workers.indexing.factory import build_entrances, build_index
from workers.indexing.guarded import GuardedIndex

LOOK_S: Final = 20.0
"""How long the address that is not used may take to show that it could be."""
RETRY_S: Final = 3.0

log = structlog.get_logger(__name__)


class IndexDuty:
    """`bare` is the index as it is, for looks; messages use what `open` returns, behind the breaker."""

    bare: VectorIndex

    def __init__(self, app: WorkerApp, settings: IndexSettings) -> None:
        self._app = app
        self._settings = settings
        self._has_standby = settings.index is IndexKind.WEAVIATE and settings.weaviate_standby_url is not None
        self._entrances: TwoEntrances | None = None
        self._reserve = ""

    async def open(self, identity: EncoderIdentity, breaker: Breaker) -> GuardedIndex:
        """Open it where the configuration says. The caller closes it.

        With a standby it is waited for, so that there is somebody who can say that the standby answers. Raises what the index
        raises without one, and `PermanentError` when it can never be used.
        """
        mark = await self._known_mark() if self._has_standby else None
        # In a thread, as the encoder is: importing an engine takes seconds, in which heartbeats go on.
        self.bare = await asyncio.to_thread(self._build, identity, mark)
        guarded = GuardedIndex(self.bare, breaker)
        if self._entrances is None:
            await guarded.open()
        else:
            await self._open_somewhere(self._entrances, breaker)
        return guarded

    def adjust(self, config: RuntimeConfig) -> None:
        """Use the address that the configuration names, from the next call on."""
        wanted = config.active_index or EndpointClass.PRIMARY
        if self._entrances is None:
            if wanted is EndpointClass.STANDBY:
                log.warning(
                    "there is no standby of the index", set="WAGGLE_WEAVIATE_STANDBY_URL, with WAGGLE_INDEX=weaviate"
                )
            return
        if self._entrances.active is wanted:
            return
        self._entrances.use(wanted)
        self._tell_reserve(AWAY, "it was exchanged, and not looked at yet")
        log.info("the index is used at its other address", address=wanted.value)

    async def watch(self) -> None:
        """Tell whether the address that is not used could be, until cancelled."""
        if self._entrances is None:
            await asyncio.Event().wait()
            return
        while True:
            await self._look_beside(self._entrances)
            if (mark := self._entrances.mark) is not None:
                await self._remember(mark)
            await asyncio.sleep(self._app.settings.probe_interval_s)

    async def _open_somewhere(self, entrances: TwoEntrances, breaker: Breaker) -> None:
        while True:
            entrances.use(await self._configured())
            try:
                await entrances.open()
            except PermanentError:
                await entrances.close()
                raise
            except TransientError as error:
                breaker.open(error)
                log.warning("waiting for the index", address=entrances.active.value, reason=str(error))
                await self._look_beside(entrances)
                await asyncio.sleep(RETRY_S)
            else:
                breaker.close()
                return

    async def _look_beside(self, entrances: TwoEntrances) -> None:
        looked_at = entrances.active
        try:
            async with asyncio.timeout(LOOK_S):
                await entrances.look_beside()
        except Exception as error:  # noqa: BLE001 (nobody depends on it, whatever it is that answers there)
            self._tell_reserve(AWAY, f"{type(error).__name__}: {error}")
        else:
            if entrances.active is looked_at:
                self._tell_reserve(READY, "")

    def _tell_reserve(self, state: str, reason: str) -> None:
        if state != self._reserve:
            log.info("the address of the index that is not used", state=state, reason=reason)
        self._reserve = state
        self._app.tell(FACT_INDEX_IN_RESERVE, state)

    async def _configured(self) -> EndpointClass:
        try:
            current = await ConfigBook(self._app.broker).current()
        except WaggleError as error:  # whoever follows the configuration says so, too
            log.warning("which address of the index is to be used is not known", reason=str(error))
            return EndpointClass.PRIMARY
        return (current and current.values.active_index) or EndpointClass.PRIMARY

    async def _known_mark(self) -> str | None:
        try:
            return await IndexMark(self._app.broker).read()
        except TransientError as error:
            log.warning("where the index was is not known", reason=str(error))
            return None

    async def _remember(self, mark: str) -> None:
        try:
            await IndexMark(self._app.broker).write(mark)
        except WaggleError as error:  # again at the next look
            log.warning("where the index is could not be written down", reason=str(error))

    def _build(self, identity: EncoderIdentity, mark: str | None) -> VectorIndex:
        if self._has_standby:
            self._entrances = build_entrances(self._settings, identity, mark=mark, on_move=self._tell_name)
        return self._entrances or build_index(self._settings, identity, on_move=self._tell_name)

    def _tell_name(self, name: str) -> None:
        self._app.tell(FACT_INDEX, f"{self._settings.index}:{name}")

"""Makes an index anew beside the one that is used, then has every worker use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from contracts.errors import PermanentError, TransientError
from messaging.broker import Broker
from messaging.generations import READ_ON
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.identity import encoder_of
from workers.indexing.pointer import Pointer, Site, in_use, key_of, moment_of_switch, was_replaced
from workers.reindexing.checking import Checked, check
from workers.reindexing.copying import Copied, Copier
from workers.reindexing.encoding import RowEncoder
from workers.reindexing.progress import Advance, Step, unseen
from workers.reindexing.users import IndexUsers

MOST_PASSES = 20
PAUSE_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Rebuilt:
    """What came of it. `encoded`: the vectors are new; `kept`: indexes that were replaced and are still there."""

    name: str
    replaced: str
    copied: Copied
    encoded: bool
    continued: bool
    kept: tuple[str, ...]
    checked: Checked


class Rebuild:
    """One rebuild. It may be cut off anywhere: the next one finds in the pointer how far it had come, and goes on.

    Workers of the same encoder write into both indexes from the moment that the new one is named as being built, so it is
    complete when all earlier rows are copied. Those of another encoder know nothing of it: their writes are caught up
    with until the last of them has ended.
    """

    def __init__(
        self,
        broker: Broker,
        site: Site,
        users: IndexUsers,
        encoder: RowEncoder,
        *,
        keep_old: bool = False,
        advance: Advance = unseen,
        kept: timedelta = READ_ON,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._broker = broker
        self._site = site
        self._users = users
        self._encoder = encoder
        self._keep_old = keep_old
        self._advance = advance
        self._kept = kept
        self._pause_s = pause_s

    async def run(self) -> Rebuilt:
        """Raises `PermanentError` when there is nothing to rebuild, or workers run that would not follow."""
        self._advance(Step(what="listening to workers"))
        await self._users.hear()
        self._users.require_followers()
        self._advance(Step(what="loading the encoder"))
        identity = await self._encoder.start()
        pointer, continued = await self._begun(identity)
        copied = Copied()
        if pointer.building is not None:
            copied += await self._build(identity, pointer)
            pointer = await self._switch(identity, pointer)
        return await self._finish(identity, pointer, copied, continued=continued)

    async def _begun(self, identity: EncoderIdentity) -> tuple[Pointer, bool]:
        """The pointer of a rebuild under way: of one that was cut off, or of a new one."""
        key = key_of(identity)
        pointer = await self._site.pointer(key)
        if pointer.source is not None and (pointer.building is None or await self._in_use(pointer.source)):
            return pointer, True
        source = await self._source(pointer)  # that of an earlier attempt may have been replaced and removed since
        begun = replace(
            pointer,
            current=source if await self._usable(source, identity) else None,
            building=pointer.building or self._site.fresh(),
            source=source,
        )
        await self._site.point(key, begun)
        return begun, False

    async def _source(self, pointer: Pointer) -> str:
        name = pointer.current
        if name is None or not await self._in_use(name):
            name = await in_use(self._site)
        if name is None:
            raise PermanentError(
                f"there is no index in {self._site.where} to rebuild: workers make one when they start; with rows in another "
                "engine use `waggle index migrate`"
            )
        return name

    async def _in_use(self, name: str) -> bool:
        """Whether an index is there and was not replaced: one that is only kept lacks what came since."""
        return await self._site.recorded(name) is not None and not await was_replaced(self._site, name)

    async def _usable(self, name: str, identity: EncoderIdentity) -> bool:
        """Whether workers of this encoder and release can go on with an index."""
        if encoder_of(await self._site.recorded(name) or {}) != identity:
            return False
        index = self._site.index(name, identity)
        try:
            await index.open()
        except PermanentError:
            return False
        finally:
            await index.close()
        return True

    async def _build(self, identity: EncoderIdentity, pointer: Pointer) -> Copied:
        """Fill the new index. When this returns it may be switched to."""
        copied = Copied()
        async with self._copier(identity, pointer, pointer.building) as (copier, target):
            for number in range(1, MOST_PASSES + 1):
                self._users.require_followers()
                once = await copier.copy(what="rows" if number == 1 else "rows of the meantime")
                copied += once
                if number == 1:
                    self._advance(Step(what="ordering the new index"))
                    await target.optimize()
                if once.all_done or (pointer.current is None and number > 2):
                    return copied
        raise TransientError(
            f"after {MOST_PASSES} passes the new index still lacks rows: run the same command again when less is ingested"
        )

    async def _switch(self, identity: EncoderIdentity, pointer: Pointer) -> Pointer:
        moment = await moment_of_switch(self._site, self._broker.clock.now())
        switched = replace(pointer, current=pointer.building, building=None, switched_at=moment)
        await self._site.point(key_of(identity), switched)
        return switched

    async def _finish(self, identity: EncoderIdentity, pointer: Pointer, copied: Copied, *, continued: bool) -> Rebuilt:
        """Catch up until nobody uses the old index, then let go of it."""
        name, source = pointer.current, pointer.source
        if name is None or source is None:
            raise PermanentError(f"the pointer of the index in {self._site.where} names no index: {pointer}")
        recorded = await self._site.recorded(source)
        encoded = recorded is not None and encoder_of(recorded) != identity
        if recorded is not None:
            copied += await self._catch_up(identity, pointer, source, encoded=encoded)
        index = self._site.index(name, identity)
        await index.open()
        try:
            checked = await check(self._broker, index)
        finally:
            await index.close()
        kept = await self._let_go(identity, pointer, source)
        return Rebuilt(
            name=name,
            replaced=source,
            copied=copied,
            encoded=encoded,
            continued=continued,
            kept=kept,
            checked=checked,
        )

    async def _catch_up(self, identity: EncoderIdentity, pointer: Pointer, source: str, *, encoded: bool) -> Copied:
        """Copy what is still written to `source`, until no worker uses it. Those of another encoder do not follow by
        themselves.
        """
        copied = Copied()
        means = f"to leave {source}: restart or stop them" if encoded else "to follow"
        async with self._copier(identity, pointer, pointer.current) as (copier, _):
            while True:
                copied += await copier.copy(what="rows of the meantime", thorough=True)
                await self._users.hear()
                users = self._users.of(source)
                if not users:
                    return copied + await copier.copy(what="rows of the meantime", thorough=True)
                self._advance(Step(what=f"waiting for {', '.join(users)} {means}"))
                await asyncio.sleep(self._pause_s)

    async def _let_go(self, identity: EncoderIdentity, pointer: Pointer, source: str) -> tuple[str, ...]:
        """Drop what was replaced, or keep it. Everything that can be repeated comes before the pointer is written."""
        if self._keep_old:
            kept = tuple(dict.fromkeys((*pointer.kept, source)))
        else:
            kept = ()
            await self._drop(key_of(identity), {*pointer.kept, source})
        await self._site.point(key_of(identity), replace(pointer, source=None, kept=kept))
        return kept

    async def _drop(self, ours: str, replaced: set[str]) -> None:
        """Also what belongs to the pointer of an encoder whose index this was."""
        for key, other in (await self._site.pointers()).items():
            if key != ours and other.current in replaced:
                unfinished = {other.building} - {None}
                for name in {*other.kept, *unfinished}:
                    await self._site.drop(str(name))
                await self._site.point(key, Pointer())
        for name in replaced:
            await self._site.drop(name)

    @asynccontextmanager
    async def _copier(
        self, identity: EncoderIdentity, pointer: Pointer, into: str | None
    ) -> AsyncIterator[tuple[Copier, VectorIndex]]:
        """Copies from the old index into the one of this name."""
        recorded = await self._site.recorded(pointer.source or "")
        if recorded is None or pointer.source is None or into is None:
            raise PermanentError(
                f"the index {pointer.source} in {self._site.where}, from which a rebuild was begun, is not there any more: "
                "run the same command again, which begins anew"
            )
        theirs = encoder_of(recorded)
        source = self._site.index(pointer.source, theirs, any_format=True)
        target = self._site.index(into, identity)
        encode = None if theirs == identity else self._encoder.encode
        try:
            await source.open()
            await target.open()
            yield (
                Copier(self._broker, source, target, encode=encode, advance=self._advance, kept=self._kept),
                target,
            )
        finally:
            await source.close()
            await target.close()

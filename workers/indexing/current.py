"""The index as workers see it: whichever was switched to last, without a restart.

What is written is written to every index that the pointer names, and the pointer is read again afterwards until it names no
further one. So a write that has returned is in an index that is being built since before it returned, and after a
switch in the new one, however long it took.

What is read is read of the index that was current at some moment since the call began, so nothing that was written before is
missed. Searches read the pointer beside, and search again when it names another index.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from workers.encoding.base import EncoderIdentity, PassageEmbedding, Vector
from workers.indexing.base import Candidate, Row, VectorIndex, Visible
from workers.indexing.pointer import Pointer, Site, in_use, key_of, was_replaced

T = TypeVar("T")

TURNS_TO_SEND = 5
"""After so many turns of the event loop a search that was just begun has left the process."""


def told_to_nobody(_name: str) -> None:
    """For those who need not know which index is current."""


@dataclass
class _Opened:
    index: VectorIndex
    users: int = 0


class CurrentIndex:
    """A `VectorIndex` that follows the pointer of its encoder. `on_move` is called with the name of the current one."""

    def __init__(
        self, site: Site, identity: EncoderIdentity, *, on_move: Callable[[str], None] = told_to_nobody
    ) -> None:
        self._site = site
        self._identity = identity
        self._key = key_of(identity)
        self._on_move = on_move
        self._opening = asyncio.Lock()
        self._opened: dict[str, _Opened] = {}
        self._current = ""
        self._named = frozenset[str]()

    async def open(self) -> None:
        """Raises `PermanentError` when there is an index and it is another encoder's, or while it is being built."""
        try:
            await self._site.open()
            await self._open_first()
        except BaseException:
            await self.close()
            raise

    async def upsert(self, rows: Sequence[Row]) -> None:
        await self._write(lambda index: index.upsert(rows))

    async def delete_generation(self, tenant: str, document_id: str, generation: str) -> int:
        return max(await self._write(lambda index: index.delete_generation(tenant, document_id, generation)), default=0)

    async def count_generation(self, tenant: str, document_id: str, generation: str) -> int:
        return await self._read(lambda index: index.count_generation(tenant, document_id, generation))

    async def census(self) -> dict[tuple[str, str, str], int]:
        return await self._read(lambda index: index.census())

    async def rows(self, tenant: str, document_id: str, generation: str) -> AsyncIterator[Row]:
        async with self._using((await self._pointer()).current or self._current) as index:
            async for row in index.rows(tenant, document_id, generation):
                yield row

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        return await self._read(lambda index: index.embeddings(tenant, document_id, digests))

    async def search(
        self,
        tenant: str,
        *,
        text: str | None,
        vector: Vector | None,
        limit: int,
        filters: Filters,
        visible: Visible | None = None,
    ) -> list[Candidate]:
        return await self._read_beside(
            lambda index: index.search(tenant, text=text, vector=vector, limit=limit, filters=filters, visible=visible)
        )

    async def optimize(self) -> None:
        await self._read(lambda index: index.optimize())

    async def close(self) -> None:
        opened, self._opened = self._opened, {}
        for each in opened.values():
            await each.index.close()
        await self._site.close()

    async def _open_first(self) -> None:
        """Begin with an index that is in use still when it is open: however long that takes, it may be replaced meanwhile."""
        name = await self._first()
        while True:
            await self._require_in_use(name)
            async with self._using(name):
                latest = await self._first()
                if latest == name:
                    await self._require_in_use(name)
                    self._move(name)
                    return
            name = latest

    async def _first(self) -> str:
        """Which index to begin with."""
        pointer = await self._site.pointer(self._key)
        if pointer.current is not None:
            return pointer.current
        if pointer.building is not None:
            raise PermanentError(
                f"the index in {self._site.where} is being built for this process's encoder and format: start it when "
                "`waggle index rebuild` has ended; run that again if it was interrupted"
            )
        if await self._site.recorded(self._site.default) is not None:
            return self._site.default
        others = await in_use(self._site)
        if others is not None:
            return others  # it is refused when it is opened
        await self._require_empty()
        return self._site.default

    async def _require_empty(self) -> None:
        """Rather than begin with an empty index beside those that are there."""
        lost = set(await self._site.names()) - {self._site.default}  # another process may just have begun
        if lost:
            raise PermanentError(
                f"{self._site.where} holds {', '.join(sorted(lost))}, but nothing says which is the current index: restore "
                f"{self._site.pointers_in} with what was restored, or remove them to begin with an empty one"
            )

    async def _require_in_use(self, name: str) -> None:
        if await was_replaced(self._site, name):
            raise PermanentError(
                f"the index {name} in {self._site.where} was replaced by one of another encoder: set WAGGLE_ENCODER_MODEL "
                "(and WAGGLE_ENCODER_PASSAGE_PROMPT) to that encoder, or run `waggle index rebuild` with these settings"
            )

    async def _pointer(self) -> Pointer:
        """Read each time: between two reads of it everything may have changed."""
        pointer = await self._site.pointer(self._key)
        if pointer.current is not None and pointer.current != self._current:
            self._move(pointer.current)
        self._named = frozenset(pointer.written) | {self._current}
        return pointer

    def _move(self, name: str) -> None:
        self._current = name
        self._named |= {name}
        self._on_move(name)

    async def _read(self, call: Callable[[VectorIndex], Awaitable[T]]) -> T:
        await self._pointer()
        name = self._current
        return await self._unless_dropped(name, self._ask(name, call), call)

    async def _read_beside(self, call: Callable[[VectorIndex], Awaitable[T]]) -> T:
        """As `_read`, with the pointer read while the index is asked: its time is not added."""
        name = self._current
        if name not in self._opened:  # it would be opened before anything says that it is still there
            return await self._read(call)
        async with self._using(name) as index:
            asking = asyncio.ensure_future(call(index))
            try:
                for _ in range(TURNS_TO_SEND):
                    await asyncio.sleep(0)
                pointer = await self._pointer()
                if pointer.current in (None, name):
                    return await self._unless_dropped(name, asking, call)
            except asyncio.CancelledError:
                asking.cancel()
                raise
            finally:  # its answer may not count, but to break it off would cost its connection
                await asyncio.gather(asking, return_exceptions=True)
        return await self._read(call)

    async def _unless_dropped(self, name: str, asking: Awaitable[T], call: Callable[[VectorIndex], Awaitable[T]]) -> T:
        """What the index of this name answers; it fails when it was dropped meanwhile, and then its successor is asked."""
        try:
            return await asking
        except TransientError:
            await self._pointer()
            if self._current == name:
                raise
        return await self._ask(self._current, call)

    async def _ask(self, name: str, call: Callable[[VectorIndex], Awaitable[T]]) -> T:
        async with self._using(name) as index:
            return await call(index)

    async def _write(self, call: Callable[[VectorIndex], Awaitable[T]]) -> list[T]:
        results: dict[str, T] = {}
        while missing := [name for name in await self._written() if name not in results]:
            for name in missing:
                try:
                    async with self._using(name) as index:
                        results[name] = await call(index)
                except TransientError:  # one that was dropped meanwhile is not missed
                    if name in await self._written():
                        raise
        return list(results.values())

    async def _written(self) -> tuple[str, ...]:
        return (await self._pointer()).written or (self._current,)

    @asynccontextmanager
    async def _using(self, name: str) -> AsyncIterator[VectorIndex]:
        """The index of a name, opened; what is not current any more is closed when its last user is done."""
        if name not in self._opened:
            await self._open(name)
        opened = self._opened[name]
        opened.users += 1
        try:
            yield opened.index
        finally:
            opened.users -= 1
            await self._let_go()

    async def _open(self, name: str) -> None:
        async with self._opening:
            if name not in self._opened:
                index = self._site.index(name, self._identity)
                await index.open()
                self._opened[name] = _Opened(index)

    async def _let_go(self) -> None:
        """All are taken out before the first is closed: nobody else can close, or begin to use, what is on its way out."""
        idle = [name for name, each in self._opened.items() if not each.users and name not in self._named]
        for index in [self._opened.pop(name).index for name in idle]:
            await index.close()

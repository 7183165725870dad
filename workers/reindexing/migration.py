"""Copies an index from one engine into another."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import PermanentError
from messaging.broker import Broker
from workers.indexing.current import CurrentIndex
from workers.indexing.identity import encoder_of
from workers.indexing.pointer import Site, in_use
from workers.reindexing.checking import Checked, check
from workers.reindexing.copying import Copied, Copier
from workers.reindexing.progress import Advance, unseen

MOST_PASSES = 5


@dataclass(frozen=True, kw_only=True)
class Migrated:
    source: str
    copied: Copied
    checked: Checked


async def migrate(broker: Broker, source: Site, target: Site, *, advance: Advance = unseen) -> Migrated:
    """Bring the target's index up to that of the source, which workers go on using.

    To repeat it brings over what was written meanwhile. Raises `PermanentError` when the source has no index, or the target
    has one of another encoder.
    """
    await source.open()
    name = await in_use(source)
    recorded = None if name is None else await source.recorded(name)
    if name is None or recorded is None:
        raise PermanentError(f"there is no index in {source.where}: is it the one that workers use?")
    identity = encoder_of(recorded)
    ours, theirs = source.index(name, identity, any_format=True), CurrentIndex(target, identity)
    try:
        await ours.open()
        await theirs.open()
        copier, copied = Copier(broker, ours, theirs, advance=advance), Copied()
        for number in range(MOST_PASSES):
            once = await copier.copy(what="rows of the meantime" if number else "rows", thorough=True)
            copied += once
            if once.all_done:
                break
        await theirs.optimize()
        return Migrated(source=name, copied=copied, checked=await check(broker, theirs))
    finally:
        await ours.close()
        await theirs.close()

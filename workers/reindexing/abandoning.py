"""Gives up what a rebuild was building."""

from __future__ import annotations

from dataclasses import replace

from workers.indexing.pointer import Site


async def abandon(site: Site) -> list[str]:
    """Remove every index that is being built, whatever its encoder, and return their names.

    Workers write to the current one alone from their next write on. May be cut off anywhere: what is not removed yet is
    listed among those that are kept then, which the next rebuild removes.
    """
    unfinished = {key: pointer for key, pointer in (await site.pointers()).items() if pointer.building is not None}
    for key, pointer in unfinished.items():
        without = replace(pointer, building=None, source=None)
        await site.point(key, replace(without, kept=(*pointer.kept, str(pointer.building))))
        await site.drop(str(pointer.building))
        await site.point(key, without)
    return [str(pointer.building) for pointer in unfinished.values()]

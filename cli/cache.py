"""`waggle cache stats|clear`: what is kept to be used again, and how to have it forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from cli.acting import told
from cli.broker import connected
from cli.exits import CommandError, Exit
from cli.output import Json, console, print_json, size, table
from contracts.audit import AuditKind
from contracts.cache_settings import CacheBackend
from contracts.errors import PermanentError, TransientError
from contracts.settings import AllSettings
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.factory import build_cache
from messaging.caching.statistics import LevelStats

app = typer.Typer()
cache = typer.Typer(no_args_is_help=True, help="What is kept to be used again: look, and have it forgotten.")
app.add_typer(cache, name="cache")


@cache.command("stats")
def stats(as_json: Json = False) -> None:
    """What the shared cache holds. What each process keeps in its own memory is told by its metrics."""
    kind = AllSettings.load().cache
    levels = asyncio.run(_stats()) if kind in _SHARED else []
    if as_json:
        print_json({"cache": kind.value, "items": [_item(level) for level in levels]})
    elif not levels:
        console().print(_WITHOUT[kind])
    else:
        rows = table("level", "entries", "size", right=frozenset({"entries", "size"}))
        for level in levels:
            rows.add_row(level.level, _shown(level.entries), "unknown" if level.bytes is None else size(level.bytes))
        console().print(rows)
    raise typer.Exit(Exit.OK if all(level.entries is not None for level in levels) else Exit.FAILED)


@cache.command("clear")
def clear(
    tenant: Annotated[str | None, typer.Option(help="Forget what is kept for this tenant.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget what is kept for everybody.")] = False,
    as_json: Json = False,
) -> None:
    """Forget what is kept, on the server and in the memory of every process. It is computed again when it is asked for."""
    if (tenant is None) is not everything:
        raise CommandError("say what is to be forgotten: `--tenant NAME`, or `--all`", code=Exit.USAGE)
    kind = AllSettings.load().cache
    removed = asyncio.run(_clear(tenant)) if kind is not CacheBackend.OFF else 0
    if as_json:
        print_json({"cache": kind.value, "tenant": tenant, "removed": removed})
    elif kind is CacheBackend.OFF:
        console().print(_WITHOUT[kind])
    else:
        shared = f"Shared entries removed: {removed}. " if kind in _SHARED else ""
        console().print(f"{shared}Every process was told to forget what it keeps in its memory.")


_SHARED = frozenset({CacheBackend.NATS, CacheBackend.REDIS})
_WITHOUT = {
    CacheBackend.MEMORY: "Every process keeps its own cache in its memory (WAGGLE_CACHE=memory); nothing is shared.",
    CacheBackend.OFF: "Nothing is cached (WAGGLE_CACHE=off).",
}


async def _stats() -> list[LevelStats]:
    async with _opened() as (_, opened):
        return [level for level in await opened.stats() if level.level != "memory"]


async def _clear(tenant: str | None) -> int:
    async with _opened() as (broker, opened):
        try:
            async with told(broker, AuditKind.CACHE, "clear", target=tenant or ""):
                return await opened.clear(tenant)
        except ValueError as error:
            raise CommandError(str(error), code=Exit.USAGE) from error
        except TransientError as error:
            raise CommandError(str(error), hint="Nothing is lost by doing it again.") from error


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Broker, Cache]]:
    async with connected("cache") as broker:
        try:
            opened = build_cache(AllSettings.load(), broker)
            await opened.open()
        except PermanentError as error:
            raise CommandError(str(error), code=Exit.USAGE) from error
        try:
            yield broker, opened
        finally:
            await opened.close()


def _item(level: LevelStats) -> dict[str, object]:
    return {"level": level.level, "entries": level.entries, "bytes": level.bytes}


def _shown(entries: int | None) -> str:
    return "does not answer" if entries is None else str(entries)

"""Rebuilds an index in a test, as `waggle index rebuild` does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from contracts.settings import EmbedSettings
from messaging.broker import Broker
from workers.encoding.base import Embedder
from workers.indexing.factory import build_site
from workers.reindexing.encoding import RowEncoder
from workers.reindexing.progress import Step
from workers.reindexing.rebuilding import Rebuild, Rebuilt
from workers.reindexing.users import IndexUsers


async def rebuild(
    broker: Broker,
    settings: EmbedSettings,
    embedder: Embedder,
    *,
    keep_old: bool = False,
    kept_s: float = 0.0,
    heard_after_s: float = 0.0,
    advance: Callable[[Step], None] = lambda _: None,
) -> Rebuilt:
    """`heard_after_s`: whoever was not heard by then is taken not to be there."""
    site, encoder = build_site(settings, settings.index), RowEncoder(lambda: embedder)
    async with IndexUsers.listening(broker, settings.index, heard_after_s=heard_after_s) as users:
        try:
            await site.open()
            return await Rebuild(
                broker,
                site,
                users,
                encoder,
                keep_old=keep_old,
                advance=advance,
                kept=timedelta(seconds=kept_s),
                pause_s=0.05,
            ).run()
        finally:
            encoder.stop()
            await site.close()

"""Backups to restore, and restoring them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contracts.documents import DocumentState
from messaging.backup import Restored, back_up, restore
from tests.support.sites import TABLE, Site, site


async def backed_up(tmp_path: Path, *texts: str, ready: bool = True) -> Path:
    """The backup of a small system that was destroyed: documents d0, d1 and so on, searchable or on their way."""
    folder = tmp_path / "backup"
    async with site(tmp_path / "here") as here:
        for number, text in enumerate(texts):
            await here.submit(f"d{number}", text.encode())
        if ready:
            async with here.working():
                for number in range(len(texts)):
                    await here.ends(f"d{number}", DocumentState.READY)
        await back_up(here.broker, folder)
    return folder


async def restored(there: Site, folder: Path, **options: Any) -> Restored:
    return await restore(there.broker, folder, table=TABLE, **options)

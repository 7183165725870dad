"""What `waggle up` says of the processes that it keeps running."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from cli import stack as command
from tests.unit.deploy.test_local_platform import LocalSite


async def test_what_died_is_told_and_not_what_somebody_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WATCH_S", 0.02)
    site = LocalSite(tmp_path)
    try:
        known = {process.name: process.pid for process in site.stack.processes()}
        await site.platform.restart("embed-1")
        await site.platform.scale("embed", 3)
        psutil.Process(known["keeper-1"]).kill()

        told = await asyncio.to_thread(next, command._restarts(site.stack, known))
    finally:
        await site.end()

    assert told.startswith("keeper-1 had ended and was started again")

"""Run a worker inside a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from messaging.app import WorkerApp

START_TIMEOUT_S = 60.0


@asynccontextmanager
async def running(app: WorkerApp) -> AsyncIterator[WorkerApp]:
    """Start `app`, wait until it takes messages; at the end stop it and expect it to end well."""
    life = asyncio.create_task(app.run(handle_signals=False))
    ready = asyncio.create_task(app.wait_ready())
    await asyncio.wait({life, ready}, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        life.cancel()
        ready.cancel()
        raise AssertionError(f"{app.service} did not become ready: {life}")
    try:
        yield app
    finally:
        app.stop()
        code = await life
    assert code == 0, f"{app.service} ended with {code}"

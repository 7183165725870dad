"""A worker that some messages kill: `python -m tests.support.deadly_worker`. Settings come from the environment.

Messages are handled in batches. One whose document is called `kill…` ends the process at once, as running out of memory
would; those called `pair…` do when there are two of them in one call. It prints `done <id>` per message.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace

from contracts.documents import PurgeRequest
from contracts.settings import ProcessSettings
from messaging.app import WorkerApp
from messaging.gathering import BatchItem
from tests.support.purges import CONSUMER
from tests.support.topologies import brisk

ATTEMPTS = 4
"""Fewer than usual: each is a process."""
DIED = 9


def main() -> int:
    app = WorkerApp(ProcessSettings.load(), service="deadly", table=brisk())

    @app.consumes_batches(replace(CONSUMER, attempts=ATTEMPTS), PurgeRequest, max_messages=16, gather_s=0.2)
    async def handle(items: list[BatchItem[PurgeRequest]]) -> None:
        names = [item.message.document_id for item in items]
        if any(name.startswith("kill") for name in names) or sum(name.startswith("pair") for name in names) > 1:
            os._exit(DIED)
        for name in names:
            print(f"done {name}", flush=True)  # noqa: T201

    return asyncio.run(app.run())


if __name__ == "__main__":
    sys.exit(main())

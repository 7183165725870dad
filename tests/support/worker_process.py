"""A worker as a real process: `python -m tests.support.worker_process`. Settings come from the environment.

It prints `started <id> <attempt>` and `done <id>` per message, and exits as a worker does. `WAGGLE_TEST_HANDLER_S` is how
long a message takes; with `WAGGLE_TEST_AWAY` it needs a backend that is away.
"""

from __future__ import annotations

import asyncio
import os
import sys

from contracts.documents import PurgeRequest
from contracts.settings import ProcessSettings
from messaging.app import WorkerApp
from messaging.delivery import Delivery
from tests.support.backends import Backend
from tests.support.purges import CONSUMER
from tests.support.topologies import brisk

HANDLER_VARIABLE = "WAGGLE_TEST_HANDLER_S"
CONCURRENCY_VARIABLE = "WAGGLE_TEST_CONCURRENCY"
AWAY_VARIABLE = "WAGGLE_TEST_AWAY"


def main() -> int:
    handler_s = float(os.environ.get(HANDLER_VARIABLE, "0"))
    concurrency = int(os.environ.get(CONCURRENCY_VARIABLE, "2"))
    app = WorkerApp(ProcessSettings.load(), service="tested", table=brisk())
    backend = Backend()
    backend.away = AWAY_VARIABLE in os.environ
    breaker = app.breaker("index", backend.look)

    @app.consumes(CONSUMER, PurgeRequest, concurrency=concurrency)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        say(f"started {request.document_id} {delivery.attempt}")
        await asyncio.sleep(handler_s)
        async with breaker:
            await backend.call(request.document_id)
        say(f"done {request.document_id}")

    async def announce() -> None:
        await app.wait_ready()
        say("ready")

    app.background("announce", announce)
    return asyncio.run(app.run())


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())

"""Takes back questions for programs that may ask, and say nothing else about how a question ends."""

from __future__ import annotations

import asyncio

import structlog

from contracts import subjects
from contracts.errors import WaggleError
from messaging.broker import Broker
from messaging.live import Live, listening
from messaging.queries import Queries
from workers.keeper.deadlines import Deadlines

GROUP = "keeper"

log = structlog.get_logger(__name__)


class Withdrawals:
    """Of several keepers one hears each. What was not asked, or has ended, is left as it is: nothing is made of it. Who asked reads the
    end of the answer, and says it again where none comes.
    """

    def __init__(self, broker: Broker, deadlines: Deadlines) -> None:
        self._broker = broker
        self._queries = Queries(broker)
        self._deadlines = deadlines

    async def run(self) -> None:
        """Listen until cancelled."""
        async with listening(self._broker, subjects.withdrawal("*", "*"), hear=self._hear, group=GROUP):
            await asyncio.Event().wait()

    async def _hear(self, message: Live) -> None:
        *_, tenant, query_id = message.subject.split(".")
        if (tenant, query_id) not in self._deadlines:
            return
        try:
            await self._queries.cancel(tenant, query_id)
        except WaggleError as error:
            log.warning("a question was not withdrawn", query_id=query_id, reason=str(error))

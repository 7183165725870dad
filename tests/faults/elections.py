"""When the brokers of a cluster elected their leaders, as they announce it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import nats
from nats.aio.msg import Msg

from tests.support.clusters import Cluster

ANNOUNCEMENTS = ("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.>", "$JS.EVENT.ADVISORY.CONSUMER.LEADER_ELECTED.>")


class Elections:
    """Hears every member for itself, since the one that dies takes its clients' subscriptions with it."""

    def __init__(self) -> None:
        self._elected_at: list[float] = []

    @classmethod
    @asynccontextmanager
    async def of(cls, cluster: Cluster) -> AsyncIterator[Elections]:
        """Listen as long as the context lasts."""
        elections = cls()
        async with AsyncExitStack() as closing:
            for server in cluster.servers.values():
                client = await nats.connect(server.url, max_reconnect_attempts=-1, error_cb=_is_away)
                closing.push_async_callback(client.close)
                for subject in ANNOUNCEMENTS:
                    await client.subscribe(subject, cb=elections._note)
            yield elections

    def took_s(self, since: float, until: float) -> float:
        """Seconds from `since` to the last election before `until` (both of the monotonic clock); 0 without any."""
        return max((at - since for at in self._elected_at if since <= at <= until), default=0.0)

    async def _note(self, _: Msg) -> None:
        self._elected_at.append(time.monotonic())


async def _is_away(_: Exception) -> None:
    """The member that was killed cannot be reached until it is back."""

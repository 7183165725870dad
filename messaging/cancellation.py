"""Stops work on queries that have ended meanwhile, most often because somebody withdrew them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from contracts import subjects
from contracts.errors import TransientError, WaggleError
from messaging.broker import Broker
from messaging.storage import Storage
from messaging.terminals import Terminals

Key = tuple[str, str]

LOOK_AFTER_S = 0.005
"""What is done sooner is not worth a look at whether the query had ended before: its terminal is refused then."""


class QueryCancelledError(WaggleError):
    """The query has its terminal already: what is done for it now is done for nobody. Acknowledge and forget it."""


class Cancellations:
    """Listens to `rag.cancel.<tenant>.<query_id>` and interrupts the stages that watch.

    Word of a cancellation is a hint: when it is lost, the work goes on and its terminal is refused.
    """

    def __init__(self, broker: Broker, *, storage: Storage | None = None) -> None:
        self._broker = broker
        self._terminals = Terminals(broker, storage=storage)
        self._watches: dict[Key, set[_Watch]] = {}
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Begin to listen; call it once, before the first `watch`."""
        self._subscription = await self._broker.nc.subscribe(f"{subjects.CANCEL}.*.*", cb=self._on_cancel)

    async def stop(self) -> None:
        """Stop listening."""
        if self._subscription is not None and not self._broker.nc.is_closed:
            await self._subscription.unsubscribe()
        self._subscription = None

    @property
    def watched(self) -> int:
        """How many queries are being worked on under watch."""
        return len(self._watches)

    @asynccontextmanager
    async def watch(self, tenant: str, query_id: str) -> AsyncIterator[None]:
        """Cancel the body and raise `QueryCancelledError` when the query has ended or is cancelled meanwhile.

        Whether it had ended before is looked up while the body runs, once it has run for `LOOK_AFTER_S`.
        """
        watch = _Watch()
        self._watches.setdefault((tenant, query_id), set()).add(watch)
        looking: list[asyncio.Task[None]] = []
        timer = asyncio.get_running_loop().call_later(
            LOOK_AFTER_S, lambda: looking.append(asyncio.create_task(self._look(tenant, query_id, watch)))
        )
        try:
            yield
        except (asyncio.CancelledError, Exception) as error:
            if watch.called_off():
                raise QueryCancelledError(f"query {query_id} has ended already") from error
            raise
        else:
            if watch.called_off():
                raise QueryCancelledError(f"query {query_id} has ended already")
        finally:
            watch.close()
            timer.cancel()
            for task in looking:
                task.cancel()
            self._forget((tenant, query_id), watch)

    async def _look(self, tenant: str, query_id: str, watch: _Watch) -> None:
        try:
            ended = await self._terminals.find(tenant, query_id)
        except TransientError:  # unknown: go on, the arbiter decides in the end
            return
        if ended is not None:
            watch.interrupt()

    async def _on_cancel(self, message: Msg) -> None:
        tenant, query_id = message.subject.split(".")[-2:]
        for watch in tuple(self._watches.get((tenant, query_id), ())):
            watch.interrupt()

    def _forget(self, key: Key, watch: _Watch) -> None:
        watches = self._watches[key]
        watches.discard(watch)
        if not watches:
            del self._watches[key]


class _Watch:
    """Interrupts the task that made it, as `asyncio.timeout` does, and tells its own interruption from others'."""

    def __init__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watch needs a task to interrupt")
        self._task = task
        self._cancelling = task.cancelling()
        self._open = True
        self._interrupted = False

    def interrupt(self) -> None:
        if self._open and not self._interrupted:
            self._interrupted = True
            self._task.cancel()

    def called_off(self) -> bool:
        """Whether the cancellation that is under way is ours alone."""
        return self._interrupted and self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        self._open = False

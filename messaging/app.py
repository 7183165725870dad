"""A worker: which messages it handles, what it starts and stops, and how it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from opentelemetry.metrics import Meter

from contracts import topology
from contracts.errors import PermanentError
from contracts.settings import ProcessSettings
from messaging.binding import Binding, Gathered, Shape, Singly
from messaging.breaker import Breaker, Look, Probing
from messaging.broker import Broker
from messaging.checks import Check
from messaging.control.duties import Forget
from messaging.deadlines import budget_deadline
from messaging.delivery import Delivery, M
from messaging.gathering import BatchItem
from messaging.middlewares.deadline import DeadlineOf
from messaging.parts import Parts
from messaging.pipeline import Handling
from messaging.probes import TIMEOUT_S as PROBE_TIMEOUT_S
from messaging.probes import Probe
from messaging.retries import RetryDelays
from messaging.running import Running

DEFAULT_TIME_LIMIT_S = 900.0
"""How long a handler may take before it is cancelled and its message is tried again."""

Handler = Callable[[M, Delivery], Awaitable[None]]
BatchHandler = Callable[[list[BatchItem[M]]], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]


class WorkerApp:
    """Declares a worker; `run()` is its life.

        app = WorkerApp(settings, service="ingest")

        @app.consumes(topology.INGEST_WORKERS, IngestRequest, concurrency=2)
        async def on_request(request: IngestRequest, delivery: Delivery) -> None: ...

    A message is acknowledged when its handler returns. Otherwise the error's class decides: `PermanentError` is
    dead-lettered, `AwayError` holds the message until what is away is back, anything else is delivered again after a
    growing delay and dead-lettered when the consumer's deliveries are used up. Handlers must bear repetition.
    """

    def __init__(
        self,
        settings: ProcessSettings,
        *,
        service: str,
        table: topology.Topology | None = None,
        restores: bool = False,
    ) -> None:
        """One that `restores` makes consumers and streams of the table anew where they are lost; all others wait for that."""
        self.settings = settings
        self.service = service
        self._parts = Parts(settings=settings, service=service, table=table or topology.Topology(), restores=restores)

    @property
    def broker(self) -> Broker:
        """The broker, from the first start-up hook on. Raises `RuntimeError` before."""
        if self._parts.broker is None:
            raise RuntimeError("the broker is there from the first start-up hook on, not before")
        return self._parts.broker

    @property
    def meter(self) -> Meter:
        """Where this worker's own figures are counted, from the first start-up hook on. Raises `RuntimeError` before."""
        if self._parts.telemetry is None:
            raise RuntimeError("the meter is there from the first start-up hook on, not before")
        return self._parts.telemetry.meter

    @property
    def consumers(self) -> tuple[topology.Consumer, ...]:
        """The consumers that this worker reads."""
        return tuple(binding.consumer for binding in self._parts.bindings)

    def consumes(
        self,
        consumer: topology.Consumer,
        message_type: type[M],
        *,
        concurrency: int = 1,
        on_dead_letter: Callable[[M, PermanentError], Awaitable[None]] | None = None,
        deadline_of: Callable[[M, Delivery], Any] | None = None,
        on_expired: Callable[[M, Delivery], Awaitable[None]] | None = None,
        time_limit_s: float | None = DEFAULT_TIME_LIMIT_S,
        delays: RetryDelays | None = None,
    ) -> Callable[[Handler[M]], Handler[M]]:
        """Handle messages of `consumer` one by one, `concurrency` of them at once.

        `on_dead_letter` is called before a message is given up, unless its bytes or its tenant are not to be trusted;
        it may be called again for the same message. `deadline_of` gives the deadline (broker time); without it the
        time budget in the message's headers counts, on QUERY with a default. What is past its deadline goes to
        `on_expired`, and is then done. `time_limit_s=None` is for handlers that wait on purpose.
        """

        def register(handler: Handler[M]) -> Handler[M]:
            handling = Handling(
                message_type=message_type,
                on_dead_letter=on_dead_letter,
                deadline_of=deadline_of or _usual_deadline(consumer),
                on_expired=on_expired,
                time_limit_s=time_limit_s,
                delays=delays or RetryDelays(),
            )
            self._bind(consumer, handling, Singly(handler=handler), concurrency)
            return handler

        return register

    def consumes_batches(
        self,
        consumer: topology.Consumer,
        message_type: type[M],
        *,
        max_messages: int,
        gather_s: float,
        concurrency: int = 1,
        on_dead_letter: Callable[[M, PermanentError], Awaitable[None]] | None = None,
        time_limit_s: float | None = DEFAULT_TIME_LIMIT_S,
        delays: RetryDelays | None = None,
    ) -> Callable[[BatchHandler[M]], BatchHandler[M]]:
        """Handle up to `max_messages` that arrive within `gather_s` of the first in one call.

        Each is settled on its own: `item.fail(error)` for one, an error of the handler for all that are not settled
        yet, otherwise they are acknowledged. Invalid messages never reach the handler. With `concurrency` 2 one batch
        is gathered while the other is worked on.
        """

        def register(handler: BatchHandler[M]) -> BatchHandler[M]:
            handling = Handling(
                message_type=message_type,
                on_dead_letter=on_dead_letter,
                time_limit_s=time_limit_s,
                isolates_suspects=False,
                delays=delays or RetryDelays(),
            )
            self._bind(
                consumer, handling, Gathered(handler=handler, batch=max_messages, gather_s=gather_s), concurrency
            )
            return handler

        return register

    def on_startup(self, hook: Hook) -> Hook:
        """Call `hook` once the broker is connected, before the first message. Its failure ends the process (1)."""
        self._parts.startup.append(hook)
        return hook

    def on_shutdown(self, hook: Hook) -> Hook:
        """Call `hook` after the last message is settled, while the broker is still there."""
        self._parts.shutdown.append(hook)
        return hook

    def background(self, name: str, work: Hook) -> None:
        """Run `work` beside the handlers until the process stops. If it fails the process drains and ends (1)."""
        self._parts.background.append((name, work))

    def check(self, name: str, check: Check, *, every_s: float = 0.0) -> None:
        """Tell in the heartbeats how a backend does; `check` is asked every few seconds, or after a good result not before
        `every_s`, and may raise.
        """
        self._parts.checks.add(name, check, every_s=every_s)

    def tell(self, fact: str, value: str) -> None:
        """Tell in the heartbeats what this worker works with."""
        self._parts.facts[fact] = value

    async def beat(self) -> None:
        """Send a heartbeat now, where one is sent at all yet: what it tells has just changed."""
        if self._parts.beat is not None:
            await self._parts.beat()

    def forgets(self, forget: Forget) -> None:
        """Have the order to clear the cache of this process call `forget`, which says how many entries there were."""
        self._parts.caches.append(forget)

    def rereads(self, what: str, reread: Hook) -> None:
        """Have the order to reload call `reread`; `what` is told in the answer."""
        self._parts.rereads.append((what, reread))

    def get_on(self) -> None:
        """Say that a handler without a time limit has done a part of its work, or waits on purpose: it is not stuck."""
        self._parts.activity.get_on()

    def breaker(self, name: str, look: Look, *, probing: Probing | None = None) -> Breaker:
        """A circuit breaker for the calls to a backend; its state is told in heartbeats and metrics.

        While `look` says that the backend is away, messages whose handlers need it are held: no attempt is used up, no
        time limit passes, but their deadlines do.
        """
        breaker = Breaker(name, look, probing=probing)
        self._parts.breakers.add(breaker)
        self._parts.checks.add_breaker(breaker)
        return breaker

    def probe(self, breaker: Breaker, look: Look, *, timeout_s: float = PROBE_TIMEOUT_S) -> None:
        """Do with the backend of a breaker, in small, what work does, every `WAGGLE_PROBE_INTERVAL_S`, and tell in the
        heartbeats how that went; calls that succeed save it. See `Probe`.
        """
        self._parts.checks.add_probe(
            Probe(breaker=breaker, look=look, timeout_s=timeout_s), interval_s=self.settings.probe_interval_s
        )

    async def run(self, *, handle_signals: bool = True) -> int:
        """Work until SIGTERM or SIGINT (or `stop()`), drain, and return the exit code.

        0: told to stop; what was in hand is finished, or went back to the broker after `drain_timeout_s`. 1: a hook or
        background work failed. 2: it cannot start with its settings.
        """
        return await Running(self._parts).run(handle_signals=handle_signals)

    def stop(self) -> None:
        """Do what SIGTERM does."""
        self._parts.stopping.set()

    async def wait_ready(self) -> None:
        """Return when the worker takes messages."""
        await self._parts.ready.wait()

    def _bind(self, consumer: topology.Consumer, handling: Handling, shape: Shape, concurrency: int) -> None:
        self._parts.bindings.append(Binding(consumer=consumer, handling=handling, shape=shape, concurrency=concurrency))


def _usual_deadline(consumer: topology.Consumer) -> DeadlineOf | None:
    return budget_deadline if consumer.stream.name == topology.QUERY.name else None

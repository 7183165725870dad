"""The way of a delivery: which middlewares there are, and why in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from nats.aio.msg import Msg

from contracts import topology
from contracts.message import Message
from messaging.activity import Activity
from messaging.breaker import Breaker
from messaging.broker import Broker
from messaging.deadletters import DeadLetters
from messaging.delivery import Delivery, Incoming
from messaging.middlewares import Middleware, Next, chain
from messaging.middlewares.deadline import Deadline, DeadlineOf, OnExpired
from messaging.middlewares.decoding import Decoding
from messaging.middlewares.hold import Hold
from messaging.middlewares.in_flight import InFlight
from messaging.middlewares.isolation import Isolation
from messaging.middlewares.keep_alive import KeepAlive
from messaging.middlewares.last_delivery import LastDelivery
from messaging.middlewares.log_context import LogContext
from messaging.middlewares.settlement import OnDeadLetter, Settlement
from messaging.middlewares.tenant_check import TenantCheck
from messaging.middlewares.time_limit import TimeLimit
from messaging.middlewares.tracing import Tracing
from messaging.retries import RetryDelays
from messaging.suspicion import Turns
from observability.telemetry import Telemetry

SETTLING_S = 60.0
"""How long beats go on after a handler's time limit, for what is still to be told and stored."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Handling:
    """How the messages of one consumer are handled."""

    message_type: type[Message]
    on_dead_letter: OnDeadLetter | None = None
    deadline_of: DeadlineOf | None = None
    on_expired: OnExpired | None = None
    time_limit_s: float | None = None
    isolates_suspects: bool = True
    """Not for messages that are handled in batches, which take out their suspects themselves."""
    delays: RetryDelays = field(default_factory=RetryDelays)


def middlewares(
    handling: Handling,
    broker: Broker,
    activity: Activity,
    telemetry: Telemetry,
    *,
    broker_breaker: Breaker,
    turns: Turns,
) -> Sequence[Middleware]:
    """Outermost first.

    `InFlight` sees everything until the message is settled, so a drain waits for that. `LogContext` says on every
    line whose the message is. `Tracing` measures all of it.
    `KeepAlive` beats while the message is settled, too, for dead-lettering may take longer than an ack wait.
    `Isolation` keeps a suspect's turn until that is acknowledged, for the next one may end the process; it waits for the
    turn where `Deadline` and `Hold` see it.
    `Settlement` answers to whatever is raised below it, and holds what it cannot answer to. `Decoding` comes before all that reads the message,
    `TenantCheck` before all that acts on it. `LastDelivery` raises what `on_dead_letter` is told with the decoded
    message. `Deadline` is outside `TimeLimit`: reaching the deadline is an end, reaching the limit a failure. `Hold` is
    between them: a deadline passes while a message is held, a time limit does not.
    """
    limit_s = handling.time_limit_s
    isolation = Isolation(turns)
    hold = Hold(broker_breaker, activity)
    return (
        InFlight(activity),
        LogContext(),
        Tracing(telemetry),
        KeepAlive(limit_s=None if limit_s is None else limit_s + SETTLING_S),
        isolation.until_settled,
        Settlement(
            DeadLetters(broker), turns.attempts, hold, delays=handling.delays, on_dead_letter=handling.on_dead_letter
        ),
        Decoding(handling.message_type),
        TenantCheck(),
        LastDelivery(),
        Deadline(broker.clock, hold, deadline_of=handling.deadline_of, on_expired=handling.on_expired),
        hold,
        *((isolation.by_itself,) if handling.isolates_suspects else ()),
        *(() if limit_s is None else (TimeLimit(limit_s),)),
    )


class Pipeline:
    """Sends deliveries of one consumer through the middlewares to a handler. Its suspects take `turns`."""

    def __init__(self, consumer: topology.Consumer, steps: Sequence[Middleware], turns: Turns) -> None:
        self.turns = turns
        self._consumer = consumer
        self._steps = steps

    def to(self, handler: Next) -> Next:
        """The whole way to `handler`."""
        return chain(self._steps, handler)

    async def send(self, raw: Msg, way: Next, *, on_handled: Callable[[], None] = lambda: None) -> None:
        """Send one message along `way` until it is settled. Only cancellation comes out of it."""
        try:
            delivery = Delivery.of(raw)
            await way(Incoming(raw=raw, delivery=delivery, consumer=self._consumer, on_handled=on_handled))
        except Exception:  # settling failed: the broker delivers the message again after its ack wait
            log.exception("message not settled", consumer=self._consumer.durable)

"""Each middleware by itself, without a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any, cast

import pytest

from contracts import topology
from contracts.errors import ErrorCode, NotYetError, PermanentError, TransientError
from messaging.activity import Activity
from messaging.attempts import Attempts
from messaging.breaker import Breaker, Probing
from messaging.clock import BrokerClock
from messaging.deadletters import DeadLetters
from messaging.delivery import Delivery, Incoming, Outcome
from messaging.errors import BackendAwayError, BrokerUnavailableError, HandedBackError, StreamFullError
from messaging.middlewares import chain
from messaging.middlewares.deadline import Deadline
from messaging.middlewares.hold import MAX_FAILED_CALLS, Hold
from messaging.middlewares.in_flight import InFlight
from messaging.middlewares.keep_alive import KeepAlive
from messaging.middlewares.last_delivery import LastDelivery
from messaging.middlewares.settlement import Settlement
from messaging.middlewares.tenant_check import TenantCheck
from messaging.middlewares.time_limit import TimeLimit
from messaging.retries import RetryDelays
from tests.support.purges import CONSUMER, purge
from tests.support.waiting import until

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Raw:
    """A message that notes how it was answered."""

    reply: str = "$JS.ACK.EMBED.purge.1.1.1.1.0"
    data: bytes = b""
    answers: list[str] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)

    async def ack(self) -> None:
        self.answers.append("ack")

    async def nak(self, delay: float | None = None) -> None:
        self.answers.append("nak")
        self.delays.append(delay or 0.0)

    async def term(self) -> None:
        self.answers.append("term")

    async def in_progress(self) -> None:
        self.answers.append("beat")


@dataclass
class Letters:
    """Dead letters that are only counted, and may be out of reach."""

    attempts: list[int] = field(default_factory=list)
    away: bool = False

    async def put(self, delivery: Delivery, payload: bytes, error: BaseException, *, attempts: int) -> bool:
        if self.away:
            raise TransientError("the broker is away")
        self.attempts.append(attempts)
        return True


class EachDelivery:
    """Attempts of which every delivery is one; notes what was taken back."""

    def __init__(self) -> None:
        self.taken_back: list[int] = []

    async def begin(self, delivery: Delivery) -> int:
        return delivery.attempt

    async def made(self, delivery: Delivery) -> int:
        return delivery.attempt

    async def take_back(self, delivery: Delivery) -> None:
        self.taken_back.append(delivery.attempt)


class StoppedClock:
    def remaining_s(self, deadline: datetime) -> float:
        return (deadline - NOW).total_seconds()


def incoming(
    raw: Raw | None = None, *, attempt: int = 1, consumer: topology.Consumer = CONSUMER, tenant: str = "default"
) -> Incoming[Any]:
    delivery = Delivery(
        subject=f"rag.embed.purges.{tenant}",
        tenant=tenant,
        stream="EMBED",
        consumer="purge",
        sequence=1,
        attempt=attempt,
        published_at=NOW,
    )
    return Incoming(raw=cast("Any", raw or Raw()), delivery=delivery, consumer=consumer, message=purge("a"))


def settlement(letters: Letters, attempts: EachDelivery | None = None, *, on_dead_letter: Any = None) -> Settlement:
    return Settlement(
        cast("DeadLetters", letters),
        cast("Attempts", attempts or EachDelivery()),
        Hold(Breaker("broker", lambda: asyncio.sleep(0)), Activity()),
        delays=RetryDelays(),
        on_dead_letter=on_dead_letter,
    )


async def succeed(_: Incoming[Any]) -> None: ...


def fail_with(error: BaseException) -> Any:
    async def fail(_: Incoming[Any]) -> None:
        raise error

    return fail


class TestChain:
    async def test_the_first_middleware_is_outermost(self) -> None:
        story: list[str] = []

        def noting(name: str) -> Any:
            async def middleware(message: Incoming[Any], call_next: Any) -> None:
                story.append(f"{name} in")
                await call_next(message)
                story.append(f"{name} out")

            return middleware

        await chain([noting("a"), noting("b")], succeed)(incoming())
        assert story == ["a in", "b in", "b out", "a out"]


class TestSettlement:
    def make(self, letters: Letters, on_dead_letter: Any = None) -> Settlement:
        return settlement(letters, on_dead_letter=on_dead_letter)

    @pytest.mark.parametrize(
        ("error", "answer", "outcome"),
        [
            (TransientError("x"), "nak", Outcome.RETRIED),
            (ValueError("x"), "nak", Outcome.RETRIED),
            (NotYetError("x", retry_after_s=1), "nak", Outcome.POSTPONED),
            (PermanentError("x"), "term", Outcome.DEAD_LETTERED),
        ],
    )
    async def test_the_errors_class_decides(self, error: Exception, answer: str, outcome: Outcome) -> None:
        raw = Raw()
        message = incoming(raw)
        await self.make(Letters())(message, fail_with(error))
        assert (raw.answers, message.outcome) == ([answer], outcome)

    async def test_success_is_acknowledged(self) -> None:
        raw = Raw()
        message = incoming(raw)
        await self.make(Letters())(message, succeed)
        assert (raw.answers, message.outcome) == (["ack"], Outcome.ACKED)

    async def test_a_cancelled_handler_gives_its_message_back_at_once(self) -> None:
        raw, attempts = Raw(), EachDelivery()
        message = incoming(raw, attempt=5)
        with pytest.raises(asyncio.CancelledError):
            await settlement(Letters(), attempts)(message, fail_with(asyncio.CancelledError()))
        assert (raw.answers, raw.delays, message.outcome) == (["nak"], [0.0], Outcome.RETURNED)
        assert attempts.taken_back == [5]

    async def test_a_message_is_not_ended_before_its_dead_letter_is_stored(self) -> None:
        raw = Raw()
        await self.make(Letters(away=True))(incoming(raw), fail_with(PermanentError("x")))
        assert raw.answers == ["nak"]

    async def test_at_the_end_of_the_process_goes_back_what_could_not_be_given_up(self) -> None:
        raw, attempts = Raw(), EachDelivery()
        broker = Breaker("broker", lambda: asyncio.sleep(0))
        full = fail_with(StreamFullError("maximum bytes exceeded"))
        giving_up = Settlement(
            cast("DeadLetters", Letters()),
            cast("Attempts", attempts),
            Hold(broker, Activity()),
            delays=RetryDelays(),
            on_dead_letter=lambda message, _: full(message),
        )
        message = incoming(raw)
        settling = asyncio.ensure_future(giving_up(message, fail_with(PermanentError("x"))))
        await until(lambda: message.held)
        broker.release()
        await settling
        assert (raw.answers, raw.delays, message.outcome) == (["nak"], [0.0], Outcome.RETURNED)
        assert attempts.taken_back == [1]

    async def test_attempts_are_those_of_the_handler(self) -> None:
        letters = Letters()
        last = incoming(attempt=CONSUMER.max_deliver)
        await chain([self.make(letters), LastDelivery()], succeed)(last)
        assert letters.attempts == [CONSUMER.attempts]

    @pytest.mark.parametrize("code", [ErrorCode.TENANT_MISMATCH, ErrorCode.INVALID_MESSAGE])
    async def test_nobody_is_told_of_a_message_that_is_not_to_be_trusted(self, code: ErrorCode) -> None:
        told: list[Any] = []

        async def tell(message: Any, error: PermanentError) -> None:
            told.append(message)

        await self.make(Letters(), tell)(incoming(), fail_with(PermanentError("x", code=code)))
        assert told == []

    async def test_unlimited_deliveries_are_retried_for_ever(self) -> None:
        raw = Raw()
        unlimited = incoming(raw, attempt=10_000, consumer=topology.KEEPER_ADVISORIES)
        await chain([self.make(Letters()), LastDelivery()], fail_with(OSError("x")))(unlimited)
        assert raw.answers == ["nak"]
        assert raw.delays[0] <= 36


class TestTenantCheck:
    async def test_agreement_passes(self) -> None:
        await TenantCheck()(incoming(), succeed)

    async def test_disagreement_is_permanent(self) -> None:
        with pytest.raises(PermanentError) as caught:
            await TenantCheck()(incoming(tenant="other"), succeed)
        assert caught.value.code is ErrorCode.TENANT_MISMATCH


class TestDeadline:
    def make(self, deadline: datetime | None, on_expired: Any = None) -> Deadline:
        clock = cast("BrokerClock", StoppedClock())
        return Deadline(
            clock,
            Hold(Breaker("broker", lambda: asyncio.sleep(0)), Activity()),
            deadline_of=lambda *_: deadline,
            on_expired=on_expired,
        )

    async def test_work_without_a_deadline_has_all_the_time(self) -> None:
        message = incoming()
        await self.make(None)(message, succeed)
        assert message.delivery.deadline is None

    async def test_the_handler_sees_the_deadline(self) -> None:
        message = incoming()
        await self.make(NOW + timedelta(seconds=5))(message, succeed)
        assert message.delivery.deadline == NOW + timedelta(seconds=5)

    async def test_past_it_the_handler_is_not_called(self) -> None:
        message = incoming()
        await self.make(NOW - timedelta(seconds=1))(message, fail_with(AssertionError("called")))
        assert message.outcome is Outcome.EXPIRED

    async def test_a_handlers_own_time_out_is_its_failure(self) -> None:
        with pytest.raises(TimeoutError):
            await self.make(NOW + timedelta(seconds=5))(incoming(), fail_with(TimeoutError()))


class TestTimeLimit:
    async def test_reaching_it_is_transient(self) -> None:
        async def hang(_: Incoming[Any]) -> None:
            await asyncio.Event().wait()

        with pytest.raises(TransientError, match="did not finish"):
            await TimeLimit(0.01)(incoming(), hang)

    async def test_a_handlers_own_time_out_stays_one(self) -> None:
        with pytest.raises(TimeoutError):
            await TimeLimit(5)(incoming(), fail_with(TimeoutError()))


class TestKeepAlive:
    def quick(self) -> topology.Consumer:
        return topology.Consumer(
            durable="quick", stream=topology.EMBED, filter_subject=">", why="beats every 10 ms", ack_wait_s=0.03
        )

    async def test_it_beats_while_the_handler_works_and_not_after(self) -> None:
        raw = Raw()

        async def work(_: Incoming[Any]) -> None:
            await until(lambda: len(raw.answers) >= 3)

        await KeepAlive(limit_s=None)(incoming(raw, consumer=self.quick()), work)
        beats = len(raw.answers)
        await asyncio.sleep(0.05)
        assert len(raw.answers) == beats

    async def test_a_quick_handler_is_not_beaten_for(self) -> None:
        raw = Raw()
        await KeepAlive(limit_s=None)(incoming(raw), succeed)
        assert raw.answers == []

    async def test_it_does_not_hold_a_hung_message_for_ever(self) -> None:
        raw = Raw()
        release = asyncio.Event()

        async def hang(_: Incoming[Any]) -> None:
            await release.wait()

        keeping = asyncio.create_task(KeepAlive(limit_s=0.05)(incoming(raw, consumer=self.quick()), hang))
        await until(
            lambda: not any(task.get_name() == "keep-alive" for task in asyncio.all_tasks()) and raw.answers != []
        )
        assert not keeping.done()
        assert 1 <= len(raw.answers) <= 6
        release.set()
        await keeping

    async def test_the_time_for_which_a_message_is_held_does_not_count(self) -> None:
        raw = Raw()
        message = incoming(raw, consumer=self.quick())

        async def be_held(held: Incoming[Any]) -> None:
            held.held = True
            await until(lambda: len(raw.answers) >= 12)  # six limits long
            held.held, held.resumed_at = False, asyncio.get_running_loop().time()
            before = len(raw.answers)
            await until(lambda: not any(task.get_name() == "keep-alive" for task in asyncio.all_tasks()))
            assert len(raw.answers) > before

        await KeepAlive(limit_s=0.02)(message, be_held)


class TestHold:
    @asynccontextmanager
    async def made(self) -> AsyncIterator[tuple[Hold, Breaker]]:
        """A hold, and the breaker of a backend that is away whenever it is looked at for the first time."""
        quick = Probing(first_pause_s=0.005, max_pause_s=0.02)
        looks = cycle([OSError("gone"), None])

        async def look() -> None:
            if error := next(looks):
                raise error

        async def there() -> None: ...

        backend, broker = Breaker("index", look, probing=quick), Breaker("broker", there, probing=quick)
        running = [asyncio.create_task(breaker.run()) for breaker in (backend, broker)]
        try:
            yield Hold(broker, Activity()), backend
        finally:
            for task in running:
                task.cancel()

    async def test_the_handler_is_called_again_when_the_backend_is_back(self) -> None:
        message, calls, held = incoming(), 0, []

        async with self.made() as (hold, breaker):
            breaker.on_change(lambda _: held.append(message.held))

            async def handle(_: Incoming[Any]) -> None:
                nonlocal calls
                calls += 1
                async with breaker:
                    if calls == 1:
                        raise TransientError("no connection")

            await hold(message, handle)
        assert calls == 2
        assert held == [False, True, True]  # open, half open, closed
        assert not message.held

    async def test_a_broker_that_does_not_answer_is_waited_for(self) -> None:
        errors = [BrokerUnavailableError("no leader"), BrokerUnavailableError("no leader"), None]

        async def handle(_: Incoming[Any]) -> None:
            if error := errors.pop(0):
                raise error

        async with self.made() as (hold, _):
            await hold(incoming(), handle)
        assert errors == []

    async def test_room_in_a_full_stream_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("messaging.middlewares.hold.FULL_FIRST_PAUSE_S", 0.001)
        errors = [*(StreamFullError("maximum bytes exceeded") for _ in range(6)), None]

        async def handle(_: Incoming[Any]) -> None:
            if error := errors.pop(0):
                raise error

        async with self.made() as (hold, _):
            await hold(incoming(), handle)
        assert errors == []

    async def test_who_waits_for_room_when_the_process_ends_hands_the_message_back(self) -> None:
        broker = Breaker("broker", lambda: asyncio.sleep(0))
        holding = asyncio.create_task(
            Hold(broker, Activity())(incoming(), fail_with(StreamFullError("maximum bytes exceeded")))
        )
        await asyncio.sleep(0)
        broker.release()
        with pytest.raises(HandedBackError):
            await holding

    async def test_a_part_of_the_broker_that_never_answers_is_not_waited_for_for_ever(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("messaging.middlewares.hold.BROKER_PATIENCE_S", 0.05)
        async with self.made() as (hold, _):
            with pytest.raises(BrokerUnavailableError):
                await hold(incoming(), fail_with(BrokerUnavailableError("not provisioned")))

    async def test_a_message_that_brings_its_backend_down_every_time_is_not_held_for_ever(self) -> None:
        calls = 0

        async with self.made() as (hold, breaker):

            async def handle(_: Incoming[Any]) -> None:
                nonlocal calls
                calls += 1
                async with breaker:
                    raise TransientError("connection lost")

            with pytest.raises(BackendAwayError):
                await hold(incoming(), handle)
        assert calls == MAX_FAILED_CALLS + 1

    async def test_other_failures_pass(self) -> None:
        async with self.made() as (hold, _):
            with pytest.raises(TransientError, match="own"):
                await hold(incoming(), fail_with(TransientError("its own")))

    async def test_at_the_end_of_the_process_a_held_message_goes_back_at_once_also_on_its_last_attempt(self) -> None:
        raw, letters, attempts = Raw(), Letters(), EachDelivery()
        message = incoming(raw, attempt=CONSUMER.attempts)
        breaker = Breaker("index", asyncio.Event().wait)
        breaker.open(OSError("gone"))
        holding = asyncio.ensure_future(
            chain(
                [settlement(letters, attempts), Hold(breaker, Activity())],
                fail_with(BackendAwayError(breaker, "gone", tried=False)),
            )(message)
        )
        await until(lambda: message.held)
        breaker.release()
        await holding
        assert (raw.answers, raw.delays, letters.attempts) == (["nak"], [0.0], [])
        assert (message.outcome, attempts.taken_back) == (Outcome.RETURNED, [CONSUMER.attempts])


class TestInFlight:
    async def test_a_failure_ends_it_too(self) -> None:
        activity = Activity()
        message = incoming()
        activity.begin(message.raw.reply)
        with pytest.raises(ValueError, match="x"):
            await InFlight(activity)(message, fail_with(ValueError("x")))
        assert (activity.in_flight, activity.progress) == (0, 1)

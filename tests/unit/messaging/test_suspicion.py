"""What came again and again is handled by itself, and who was tried least goes first."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from contracts.errors import PermanentError
from messaging.attempts import UNSUSPECTED_DELIVERIES, Attempts, is_suspect
from messaging.delivery import Delivery, Incoming
from messaging.errors import BrokerUnavailableError
from messaging.middlewares import chain
from messaging.middlewares.isolation import Isolation
from messaging.suspicion import Turns
from tests.support.purges import CONSUMER
from tests.support.waiting import until

LATER = UNSUSPECTED_DELIVERIES + 1
ALLOWED = 4


def delivery(sequence: int, *, attempt: int = LATER) -> Delivery:
    return Delivery(
        subject="rag.embed.purges.t",
        tenant="t",
        stream="EMBED",
        consumer="purge",
        sequence=sequence,
        attempt=attempt,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Counted:
    """Attempts in memory: by sequence, beyond the unsuspected ones."""

    def __init__(self, **turns: int) -> None:
        self.turns = {int(name.removeprefix("m")): count for name, count in turns.items()}
        self.away = False

    async def made(self, delivery: Delivery) -> int:
        if self.away:
            raise BrokerUnavailableError("no answer")
        return UNSUSPECTED_DELIVERIES + self.turns.get(delivery.sequence, 0)

    async def begin(self, delivery: Delivery) -> int:
        self.turns[delivery.sequence] = self.turns.get(delivery.sequence, 0) + 1
        return await self.made(delivery)


def turns_of(counted: Counted | None = None, *, gather_s: float = 0.0) -> Turns:
    return Turns(cast("Attempts", counted or Counted()), allowed=ALLOWED, gather_s=gather_s)


class Log:
    """Which deliveries had their turn, and how many at once."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[int] = []
        self.most_at_once = 0
        self._at_work = 0

    async def serve(self, suspect: Delivery) -> None:
        await self.turns.take(suspect)
        self._at_work += 1
        self.most_at_once = max(self.most_at_once, self._at_work)
        await asyncio.sleep(0)
        self.served.append(suspect.sequence)
        self._at_work -= 1
        self.turns.leave(suspect)

    async def serve_all(self, *suspects: Delivery) -> list[int]:
        await asyncio.gather(*map(self.serve, suspects))
        served, self.served = self.served, []
        return served


async def test_who_was_tried_least_goes_first_then_who_is_oldest() -> None:
    log = Log(turns_of(Counted(m1=1, m3=1)))
    assert await log.serve_all(*(delivery(n) for n in (3, 4, 1, 2))) == [2, 4, 1, 3]
    assert log.most_at_once == 1


async def test_who_comes_a_little_later_still_has_its_place() -> None:
    log = Log(turns_of(gather_s=0.1))
    late = asyncio.create_task(log.serve(delivery(2)))
    await asyncio.sleep(0)
    assert await log.serve_all(delivery(1)) == [1, 2]
    assert late.done()


async def test_one_that_leaves_its_place_holds_nobody_up() -> None:
    log = Log(turns_of(gather_s=0.05))
    first = asyncio.create_task(log.serve(delivery(1)))
    second = asyncio.create_task(log.serve(delivery(2)))
    await asyncio.sleep(0)
    first.cancel()
    await until(second.done)
    assert log.served == [2]


async def test_one_whose_attempts_are_used_up_gets_no_turn_and_holds_nobody_up() -> None:
    turns = turns_of(Counted(m1=ALLOWED - UNSUSPECTED_DELIVERIES))
    with pytest.raises(PermanentError, match="4 attempts"):
        await turns.take(delivery(1))
    assert await Log(turns).serve_all(delivery(2)) == [2]


async def test_one_whose_record_is_out_of_reach_holds_nobody_up() -> None:
    counted = Counted()
    turns = turns_of(counted)
    counted.away = True
    with pytest.raises(BrokerUnavailableError):
        await turns.take(delivery(1))
    counted.away = False
    assert await Log(turns).serve_all(delivery(2)) == [2]


class TestIsolation:
    def isolated(self, turns: Turns, handle: Any, *, settle: Any = None) -> Any:
        isolation = Isolation(turns)
        return chain([isolation.until_settled, *([settle] if settle else []), isolation.by_itself], handle)

    async def test_others_pass_while_a_suspect_is_at_work(self) -> None:
        turns, passed, held = turns_of(), asyncio.Event(), asyncio.Event()

        async def handle(incoming: Incoming[Any]) -> None:
            if is_suspect(incoming.delivery):
                await held.wait()
            else:
                passed.set()

        way = self.isolated(turns, handle)
        holding = asyncio.create_task(way(_incoming(delivery(1))))
        await asyncio.sleep(0)
        await way(_incoming(delivery(2, attempt=UNSUSPECTED_DELIVERIES)))
        assert passed.is_set()
        held.set()
        await holding

    async def test_a_turn_lasts_until_the_message_is_settled_also_when_its_deadline_was_told_on_the_way(self) -> None:
        turns, log, settled = turns_of(), list[str](), asyncio.Event()

        async def settle(incoming: Incoming[Any], call_next: Any) -> None:
            await call_next(incoming)
            await settled.wait()
            log.append(f"settled {incoming.delivery.sequence}")

        async def handle(incoming: Incoming[Any]) -> None:
            incoming.delivery = replace(incoming.delivery, deadline=datetime(2027, 1, 1, tzinfo=UTC))
            log.append(f"handled {incoming.delivery.sequence}")

        way = self.isolated(turns, handle, settle=settle)
        ways = [asyncio.create_task(way(_incoming(delivery(n)))) for n in (1, 2)]
        await until(lambda: log == ["handled 1"])
        settled.set()
        await asyncio.gather(*ways)
        assert log == ["handled 1", "settled 1", "handled 2", "settled 2"]

    async def test_one_that_is_held_leaves_its_turn_to_the_others(self) -> None:
        turns, back = turns_of(), asyncio.Event()

        async def hold(incoming: Incoming[Any], call_next: Any) -> None:
            try:
                await call_next(incoming)
            except BrokerUnavailableError:
                await back.wait()

        async def handle(incoming: Incoming[Any]) -> None:
            if incoming.delivery.sequence == 1:
                raise BrokerUnavailableError("away")
            back.set()

        way = self.isolated(turns, handle, settle=hold)
        await asyncio.gather(way(_incoming(delivery(1))), way(_incoming(delivery(2))))

    async def test_nobody_works_on_one_that_waits_for_its_turn(self) -> None:
        turns = turns_of()
        await turns.take(delivery(1))
        second = _incoming(delivery(2))
        seen: list[bool] = []

        async def handle(incoming: Incoming[Any]) -> None:
            seen.append(incoming.held)

        waiting = asyncio.create_task(self.isolated(turns, handle)(second))
        await until(lambda: second.held)
        turns.leave(delivery(1))
        await waiting
        assert seen == [False]


def test_one_repetition_is_no_suspicion() -> None:
    assert not is_suspect(delivery(1, attempt=2))


def _incoming(of: Delivery) -> Incoming[Any]:
    return Incoming(raw=cast("Any", None), delivery=of, consumer=CONSUMER)

"""What came again and again is handled by itself, and not always behind the same neighbour."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

from messaging.delivery import Delivery, Incoming
from messaging.middlewares.isolation import Isolation
from messaging.suspicion import UNSUSPECTED_DELIVERIES, Turns, is_suspect
from tests.support.purges import CONSUMER
from tests.support.waiting import until

LATER = UNSUSPECTED_DELIVERIES + 1


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


class Log:
    """Which deliveries had their turn, and how many at once."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.served: list[int] = []
        self.most_at_once = 0
        self._at_work = 0

    async def serve(self, suspect: Delivery) -> None:
        async with self.turns.turn(suspect):
            self._at_work += 1
            self.most_at_once = max(self.most_at_once, self._at_work)
            await asyncio.sleep(0)
            self.served.append(suspect.sequence)
            self._at_work -= 1

    async def serve_all(self, *suspects: Delivery) -> list[int]:
        await asyncio.gather(*map(self.serve, suspects))
        served, self.served = self.served, []
        return served


async def test_the_order_turns_round_with_every_delivery() -> None:
    log = Log(Turns(gather_s=0))
    for attempt in (LATER, LATER + 1, LATER + 2):
        order = await log.serve_all(*(delivery(n, attempt=attempt) for n in (2, 3, 1)))
        assert order == ([1, 2, 3] if attempt % 2 else [3, 2, 1])
    assert log.most_at_once == 1


async def test_who_comes_a_little_later_still_has_its_place() -> None:
    log = Log(Turns(gather_s=0.1))
    late = asyncio.create_task(log.serve(delivery(2)))
    await asyncio.sleep(0)
    assert await log.serve_all(delivery(1)) == [1, 2]
    assert late.done()


async def test_one_that_leaves_its_place_holds_nobody_up() -> None:
    log = Log(Turns(gather_s=0.05))
    first = asyncio.create_task(log.serve(delivery(1)))
    second = asyncio.create_task(log.serve(delivery(2)))
    await asyncio.sleep(0)
    first.cancel()
    await until(second.done)
    assert log.served == [2]


async def test_one_that_fails_gives_up_its_turn() -> None:
    turns = Turns(gather_s=0)
    with_error = asyncio.create_task(_failing(turns, delivery(1)))
    assert await Log(turns).serve_all(delivery(2)) == [2]
    await asyncio.wait({with_error})
    assert isinstance(with_error.exception(), RuntimeError)


async def test_others_pass_while_a_suspect_is_at_work() -> None:
    isolation, passed, held = Isolation(Turns(gather_s=0)), asyncio.Event(), asyncio.Event()

    async def hold(_: Incoming[Any]) -> None:
        await held.wait()

    async def note(_: Incoming[Any]) -> None:
        passed.set()

    holding = asyncio.create_task(isolation(_incoming(delivery(1)), hold))
    await asyncio.sleep(0)
    await isolation(_incoming(delivery(2, attempt=UNSUSPECTED_DELIVERIES)), note)
    assert passed.is_set()
    held.set()
    await holding


def test_one_repetition_is_no_suspicion() -> None:
    assert not is_suspect(delivery(1, attempt=2))


async def _failing(turns: Turns, suspect: Delivery) -> None:
    async with turns.turn(suspect):
        raise RuntimeError("died")


def _incoming(of: Delivery) -> Incoming[Any]:
    return Incoming(raw=cast("Any", None), delivery=of, consumer=CONSUMER)

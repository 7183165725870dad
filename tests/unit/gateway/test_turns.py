"""Who is called next, by weights, and that nobody who left holds up others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from gateway.turns import NotInTimeError, Turns, TurnsEndedError
from tests.support.waiting import until


class Stage:
    """Has room for so many until it is told of more."""

    def __init__(self, room: int = 0) -> None:
        self.room = room
        self.entered = 0

    def enter(self, _: str) -> None:
        self.entered += 1
        self.room -= 1

    def leave(self, _: str) -> None:
        self.entered -= 1
        self.room += 1


def turns_to(stage: Stage, weights: dict[str, float] | None = None, now: Callable[[], float] | None = None) -> Turns:
    known = weights or {}
    return Turns(
        has_room=lambda: stage.room > 0,
        enter=stage.enter,
        leave=stage.leave,
        weight_of=lambda tenant: known.get(tenant, 1.0),
        **({"monotonic": now} if now else {}),
    )


@asynccontextmanager
async def running(turns: Turns) -> AsyncIterator[None]:
    task = asyncio.create_task(turns.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Crowd:
    """Questions that wait, and in which order they were called."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.called: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, *tenants: str) -> None:
        for tenant in tenants:
            self.tasks.append(asyncio.create_task(self._wait(tenant)))
            await asyncio.sleep(0)

    async def _wait(self, tenant: str) -> None:
        await self.turns.turn(tenant, within_s=30)
        self.called.append(tenant)

    async def all_called(self, number: int) -> None:
        await until(lambda: len(self.called) == number)

    async def leave(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_while_there_is_room_nobody_waits() -> None:
    stage = Stage(room=2)
    turns = turns_to(stage)

    await turns.turn("a", within_s=0)
    await turns.turn("b", within_s=0)

    assert (stage.entered, turns.waiting) == (2, 0)


async def test_a_turn_that_does_not_come_in_time_is_told() -> None:
    turns = turns_to(Stage())

    with pytest.raises(NotInTimeError):
        await turns.turn("a", within_s=0.01)
    assert turns.waiting == 0


async def test_a_few_do_not_wait_behind_a_thousand() -> None:
    stage = Stage()
    crowd = Crowd(turns_to(stage))
    await crowd.come(*["bulk"] * 1000, *["few"] * 3)

    async with running(crowd.turns):
        stage.room = 8
        await crowd.all_called(8)

    assert crowd.called.count("few") == 3
    await crowd.leave()


async def test_by_weight() -> None:
    stage = Stage()
    crowd = Crowd(turns_to(stage, {"heavy": 3.0}))
    await crowd.come(*["light"] * 100, *["heavy"] * 100)

    async with running(crowd.turns):
        stage.room = 40
        await crowd.all_called(40)

    assert 29 <= crowd.called.count("heavy") <= 31
    await crowd.leave()


async def test_who_was_away_has_saved_nothing_up() -> None:
    """Who comes late is called in turn from then on, not for all the time before."""
    stage = Stage()
    crowd = Crowd(turns_to(stage))
    await crowd.come(*["early"] * 100)
    async with running(crowd.turns):
        stage.room = 50
        await crowd.all_called(50)
        await crowd.come(*["late"] * 50)
        stage.room = 20
        await crowd.all_called(70)

    assert 9 <= crowd.called[50:].count("late") <= 11
    await crowd.leave()


async def test_of_one_tenant_the_first_comes_first() -> None:
    stage, order = Stage(), list[int]()
    turns = turns_to(stage)

    async def wait(number: int) -> None:
        await turns.turn("a", within_s=30)
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(20)]
    await asyncio.sleep(0)
    async with running(turns):
        stage.room = 20
        await asyncio.gather(*tasks)

    assert order == list(range(20))


async def test_those_who_left_are_not_called_and_not_kept() -> None:
    stage = Stage()
    crowd = Crowd(turns_to(stage))
    await crowd.come(*["gone"] * 500)
    await crowd.leave()
    assert crowd.turns.waiting == 0
    assert not crowd.turns._lines

    await crowd.come("there")
    async with running(crowd.turns):
        stage.room = 1
        await crowd.all_called(1)

    assert (stage.entered, crowd.called) == (1, ["there"])


async def test_what_those_who_left_would_have_had_is_nobodys_loss() -> None:
    """Many of a tenant come and go without being called: its next one is called as early as if they had never come."""
    stage = Stage()
    crowd, left = Crowd(turns_to(stage)), Crowd(turns_to(stage))
    left.turns = crowd.turns
    await crowd.come("patient", *["steady"] * 20)
    await left.come(*["patient"] * 200)
    await left.leave()
    async with running(crowd.turns):
        await crowd.come("patient")
        stage.room = 6
        await crowd.all_called(6)

    assert crowd.called.count("patient") == 2
    await crowd.leave()


async def test_nobody_overtakes_who_waits() -> None:
    stage = Stage()
    crowd = Crowd(turns_to(stage))
    await crowd.come("first")
    stage.room = 1

    with pytest.raises(NotInTimeError):
        await crowd.turns.turn("second", within_s=0.01)
    await crowd.leave()


async def test_how_many_are_before_the_next_one() -> None:
    crowd = Crowd(turns_to(Stage(), {"heavy": 3.0}))
    await crowd.come(*["light"] * 30, *["heavy"] * 6)

    assert crowd.turns.ahead_of("light") == 36
    assert crowd.turns.ahead_of("heavy") == pytest.approx(8)
    assert crowd.turns.ahead_of("other") == 0
    await crowd.leave()


async def test_how_fast_they_are_called_is_known_after_a_while() -> None:
    stage, now = Stage(), [100.0]
    crowd = Crowd(turns_to(stage, now=lambda: now[0]))
    assert crowd.turns.pace is None
    await crowd.come(*["a"] * 30)
    async with running(crowd.turns):
        stage.room = 10
        await crowd.all_called(10)
        assert crowd.turns.pace is None
        now[0] += 2
        assert crowd.turns.pace == pytest.approx(5)
        now[0] += 4
        stage.room = 10
        await crowd.all_called(20)
        assert crowd.turns.pace == pytest.approx(10 / 6)
        stage.room = 10
        await crowd.all_called(30)
        await until(lambda: crowd.turns.pace is None)


async def test_when_nobody_is_called_any_more_all_who_wait_are_told() -> None:
    stage = Stage()
    turns = turns_to(stage)
    waiting = [asyncio.create_task(turns.turn("a", within_s=30)) for _ in range(3)]
    await asyncio.sleep(0)

    turns.end()

    assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} == {TurnsEndedError}
    with pytest.raises(TurnsEndedError):
        await turns.turn("a", within_s=30)
    stage.room = 1
    await turns.turn("a", within_s=30)  # who does not wait is let in, as long as the gateway takes questions at all


async def test_who_goes_in_the_moment_of_being_called_takes_no_room() -> None:
    stage = Stage()
    turns = turns_to(stage)
    going = asyncio.create_task(turns.turn("a", within_s=30))
    await asyncio.sleep(0)

    stage.room = 1
    turns.call()
    going.cancel()
    await asyncio.gather(going, return_exceptions=True)

    assert (stage.entered, stage.room) == (0, 1)

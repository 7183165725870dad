"""Effects are repeated while their failure may pass, and not beyond."""

from __future__ import annotations

import asyncio

import pytest

from contracts.errors import PermanentError, TransientError
from messaging import redrive as module
from messaging.redrive import Redrive
from tests.support.waiting import until


class Flaky:
    """Fails with the given errors, one a call, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)


async def test_an_effect_that_fails_for_a_passing_reason_is_repeated_until_it_succeeds() -> None:
    redrive, effect = Redrive(), Flaky(TransientError("away"), TransientError("away"))
    redrive.later("it", effect)
    await until(lambda: redrive.pending == 0)
    assert effect.calls == 3


async def test_an_effect_that_fails_for_good_is_given_up() -> None:
    redrive, effect = Redrive(), Flaky(PermanentError("never"))
    redrive.later("it", effect)
    await until(lambda: redrive.pending == 0)
    assert effect.calls == 1


async def test_now_or_later_returns_after_the_first_try_whatever_came_of_it() -> None:
    redrive, effect = Redrive(), Flaky(TransientError("away"))
    await redrive.now_or_later("it", effect)
    assert effect.calls == 1
    await until(lambda: redrive.pending == 0)
    assert effect.calls == 2


async def test_a_caller_does_not_wait_long_for_a_first_try_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOW_S", 0.001)
    redrive, gate, done = Redrive(), asyncio.Event(), asyncio.Event()

    async def effect() -> None:
        await gate.wait()
        done.set()

    await redrive.now_or_later("it", effect)
    assert not done.is_set()
    gate.set()
    await until(done.is_set)


async def test_an_effect_goes_on_when_its_caller_is_cancelled() -> None:
    redrive, gate, done = Redrive(), asyncio.Event(), asyncio.Event()

    async def effect() -> None:
        await gate.wait()
        done.set()

    caller = asyncio.create_task(redrive.now_or_later("it", effect))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    await until(done.is_set)


async def test_closing_gives_up_what_is_left() -> None:
    redrive = Redrive()
    redrive.later("it", asyncio.Event().wait)
    await redrive.close()
    assert redrive.pending == 0

"""What an observer knows of a platform that tells, does not tell yet, or does not tell any more."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from contracts.platform_errors import PlatformAwayError
from contracts.platforms import Instance, InstanceState, Platform
from workers.observer.recovery import platform as module
from workers.observer.recovery.platform import Places, PlatformEye

EMBED = Instance(instance="host-embed-1", service="embed", state=InstanceState.RUNNING)


class Told:
    """Says what it is given; None: it hangs."""

    def __init__(self, *answers: tuple[Instance, ...] | Exception | None) -> None:
        self._answers = list(answers)

    async def list(self) -> tuple[Instance, ...]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await asyncio.Event().wait()
        return cast("tuple[Instance, ...]", answer)


def eye(*answers: Any) -> PlatformEye:
    return PlatformEye(cast("Platform", Told(*answers)))


async def test_none_tells_nothing():
    assert await PlatformEye(None).look() == Places()


async def test_it_tells_what_runs():
    places = await eye((EMBED,)).look()

    assert (places.running, places.possible, places.silent) == ({"embed": 1}, {"embed": 1}, False)


async def test_one_that_has_never_answered_is_none():
    assert await eye(PlatformAwayError("no stack runs here")).look() == Places()


@pytest.mark.parametrize("answer", [PlatformAwayError("it does not answer"), None], ids=["refused", "hangs"])
async def test_one_that_answered_before_is_silent(answer, monkeypatch):
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    looks = eye((EMBED,), answer, (EMBED,))

    assert [(await looks.look()).silent for _ in range(3)] == [False, True, False]

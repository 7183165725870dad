"""Inside a process of the harness: wraps production functions so that plans can be carried out at their points."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from messaging.delivery import Delivery
from messaging.pipeline import Pipeline
from tests.faults.plans import Action, InHand, Plan, Plans, Strike
from tests.faults.points import Arguments, Point

RELEASE_POLL_S = 0.02

Method = Callable[..., Awaitable[Any]]


class Striker:
    """Carries out plans at the points that this process comes by."""

    def __init__(self, plans: Plans) -> None:
        self._plans = plans
        self._passed: Counter[str] = Counter()
        self._in_hand: dict[str, tuple[InHand, bytes]] = {}

    def install(self, points: tuple[Point, ...]) -> None:
        for point in points:
            wrap(point.where, functools.partial(self._pointed, point))

    def watch_deliveries(self, log: Path) -> None:
        """Know what is in hand, and write down every delivery: consumer, stream sequence, attempt."""

        def watched(original: Method) -> Method:
            async def send(pipeline: Pipeline, raw: Any, way: Any, **options: Any) -> None:
                delivery = Delivery.of(raw)
                message = InHand(stream=delivery.stream, consumer=delivery.consumer, sequence=delivery.sequence)
                with log.open("a", encoding="utf-8") as file:
                    file.write(f"{delivery.consumer} {delivery.sequence} {delivery.attempt}\n")
                self._in_hand[raw.reply] = message, raw.data
                try:
                    await original(pipeline, raw, way, **options)
                finally:
                    del self._in_hand[raw.reply]

            return send

        wrap("messaging.pipeline:Pipeline.send", watched)

    async def reach(self, point: Point, call: Arguments) -> None:
        """Do what is planned for this point, if anything is."""
        plan = self._plans.armed(point.name)
        if plan is None or plan.containing not in self._about(point, call):
            return
        self._passed[plan.id] += 1
        if self._passed[plan.id] <= plan.let_pass or (plan.once and not self._plans.claim(plan)):
            return
        in_hand = tuple(message for message, _ in self._in_hand.values())
        self._plans.record(Strike(plan=plan.id, point=point.name, pid=os.getpid(), in_hand=in_hand))
        await self._act(plan)

    def _about(self, point: Point, call: Arguments) -> str:
        """What a call is about; where it does not say, everything that is in hand."""
        if point.about is not None:
            return point.about(call)
        return b" ".join(data for _, data in self._in_hand.values()).decode(errors="replace")

    async def _act(self, plan: Plan) -> None:
        match plan.action:
            case Action.KILL:
                os.kill(os.getpid(), signal.SIGKILL)
            case Action.STOP:
                os.kill(os.getpid(), signal.SIGSTOP)
            case Action.PAUSE:
                while not self._plans.released(plan):  # noqa: ASYNC110 (another process says so, by a file)
                    await asyncio.sleep(RELEASE_POLL_S)
            case Action.RAISE:
                raise RuntimeError(f"planned at {plan.point}")

    def _pointed(self, point: Point, original: Method) -> Method:
        signature = inspect.signature(original)

        @functools.wraps(original)
        async def pointed(*args: Any, **kwargs: Any) -> Any:
            call = signature.bind(*args, **kwargs).arguments
            meant = point.only(call)
            if meant and point.before:
                await self.reach(point, call)
            result = await original(*args, **kwargs)
            if meant and not point.before:
                await self.reach(point, call)
            return result

        return pointed


def wrap(where: str, wrapper: Callable[[Any], Any]) -> None:
    """Replace `module:Class.method` or `module:function` by what `wrapper` makes of it."""
    module, _, path = where.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for step in owners:
        owner = getattr(owner, step)
    setattr(owner, name, wrapper(getattr(owner, name)))

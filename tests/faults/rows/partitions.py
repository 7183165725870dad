"""Row 6: the network between one process and the broker breaks, for a moment and for longer than the ack wait."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tests.faults.client import UNAVAILABLE, Reply
from tests.faults.link import Link, link_to
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import PROCESSES, Stack, running
from tests.faults.worker import GATEWAY
from tests.faults.workload import Workload

SHORT_S = 5.0
BEYOND_ACK_WAIT = 2.0
PATIENCE_S = "2"
"""Shorter than each partition, so that a gateway to which nobody says anything refuses before it is over."""
PARTED = ("embed-1", "retrieve-1", GATEWAY, "keeper-1")
WATCHED_EVERY_S = 0.2


class Partition(Row):
    number = "6"
    passes = "0 lost; all go on without restart; the gateway answers 503 meanwhile, never 202 for what was not accepted"

    @abstractmethod
    async def part(self, link: Link) -> None:
        """Break the link."""

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with (
            running(seed=trial.seed, scale=trial.scale, without=PARTED) as stack,
            AsyncExitStack() as kept,
        ):
            links = {name: await kept.enter_async_context(_linked(stack, name)) for name in PARTED}
            await stack.fleet.ready()
            await stack.gateway_ready()
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for name, link in links.items():
                    for away_s in (SHORT_S, stack.scale.longest_ack_wait_s * BEYOND_ACK_WAIT):
                        await self._away(stack, work, name, link, away_s, outcome)
                    trial.say(
                        f"{name} parted twice, back after {outcome.back_s[-2]:.1f} and {outcome.back_s[-1]:.1f} s"
                    )
            outcome.verdict = await stack.examine()
            outcome.require(outcome.notes["refused while parted"], "the gateway refused nothing while it was parted")
            outcome.require(not stack.fleet.exits, f"processes ended: {stack.fleet.exits}")
        return outcome

    async def _away(self, stack: Stack, work: Workload, name: str, link: Link, away_s: float, outcome: Outcome) -> None:
        await self.part(link)
        if name == GATEWAY:
            await _refused(stack, work, away_s, outcome)
        else:
            await asyncio.sleep(away_s)
        await link.restore()
        outcome.kills += 1
        outcome.back_s.append(await work.served_after_s())
        await work.is_ready(await work.submit())


class Silent(Partition):
    name = "partition, silent"
    fault = "nothing passes between one process and the broker, and nobody is told"

    async def part(self, link: Link) -> None:
        await link.silence()


class Refused(Partition):
    name = "partition, refused"
    fault = "the connections of one process to the broker are closed and refused"

    async def part(self, link: Link) -> None:
        await link.refuse()


@asynccontextmanager
async def _linked(stack: Stack, name: str) -> AsyncIterator[Link]:
    """Start a process that reaches the broker over a link of its own."""
    assert stack.server.port is not None
    async with link_to(stack.server.port) as link:
        stack.fleet.start(name, PROCESSES[name], WAGGLE_NATS_URL=link.url, WAGGLE_PUBLISH_TIMEOUT_S=PATIENCE_S)
        yield link


async def _refused(stack: Stack, work: Workload, away_s: float, outcome: Outcome) -> None:
    """Hand in documents until the time is over; what was answered by then must have been 503."""
    ends_at = asyncio.get_running_loop().time() + away_s
    handed_in: set[asyncio.Task[Reply]] = set()
    while asyncio.get_running_loop().time() < ends_at:
        handed_in.add(asyncio.create_task(stack.client.submit(work.fresh())))
        await asyncio.sleep(WATCHED_EVERY_S)
    answered = [task.result() for task in handed_in if task.done()]
    outcome.notes["refused while parted"] = outcome.notes.get("refused while parted", 0) + len(answered)
    for reply in answered:
        outcome.require(
            reply.status == UNAVAILABLE and "Retry-After" in reply.headers,
            f"a gateway without a broker answered {reply.status}, headers {dict(reply.headers)}",
        )

"""Row 5: the broker's machine loses its power."""

from __future__ import annotations

import asyncio

from deploy.local.nats_server import NatsServer
from tests.faults.disks import ImageDisk, image_disk
from tests.faults.durability import ForgetfulServer
from tests.faults.row import Control, Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload
from tests.support.freezing import freeze

CUTS = 3
LOADED_S = 3.0
BACK_S = 10.0
FORGETFUL_SETTLE_S = 12.0


class PowerCut(Row):
    number = "5"
    name = "broker power cut"
    fault = f"the broker's disk keeps only what was synced, {CUTS} times under load"
    passes = "0 acknowledged lost; questions may be lost, each has its end; back within 10 s"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        with image_disk() as disk:
            async with running(seed=trial.seed, scale=trial.scale, server=NatsServer(disk.folder)) as stack:
                work = Workload(stack)
                await work.prepare()
                async with work.going_on():
                    for number in range(CUTS):
                        await asyncio.sleep(LOADED_S)
                        await asyncio.to_thread(_cut, stack, disk)
                        outcome.kills += 1
                        outcome.back_s.append(await work.served_after_s())
                        trial.say(f"{number + 1} of {CUTS} power cuts, back after {outcome.back_s[-1]:.1f} s")
                await stack.connected()
                outcome.verdict = await stack.examine()
                outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
                outcome.require(max(outcome.back_s) <= BACK_S, f"served again only after {max(outcome.back_s):.1f} s")
        return outcome


class Forgetful(Control):
    number = "5"
    name = "control: no sync"
    fault = "the power cut with the broker's default, which syncs every two minutes"
    passes = "the oracle sees the loss"
    sees = "lost"

    async def run(self, trial: Trial) -> Outcome:
        with image_disk() as disk:
            async with running(seed=trial.seed, scale=trial.scale, server=ForgetfulServer(disk.folder)) as stack:
                work = Workload(stack)
                await work.prepare()
                await asyncio.to_thread(disk.sync)  # the streams themselves shall stay
                async with work.going_on():
                    await asyncio.sleep(LOADED_S)
                    await asyncio.to_thread(_cut, stack, disk)
                await stack.connected()
                return Outcome(verdict=await stack.examine(settle_s=FORGETFUL_SETTLE_S), kills=1)


def _cut(stack: Stack, disk: ImageDisk) -> None:
    """The broker stops first: what it says after the cut nobody would have heard."""
    assert stack.server.pid is not None
    freeze(stack.server.pid)
    disk.cut()
    stack.server.kill()
    disk.power_up()
    stack.server.start()

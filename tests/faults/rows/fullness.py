"""Row 7: no room left, in the broker's allowance, on its disk, or among the uploads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from contracts import topology
from contracts.topology import MiB
from deploy.local.nats_server import NatsServer
from messaging.errors import BrokerFullError
from messaging.storage import Storage
from tests.faults.client import ACCEPTED, TOO_MANY, UNAVAILABLE
from tests.faults.disks import small_disk
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload

ALLOWANCE_BYTES = 48 * MiB
DISK_BYTES = 96 * MiB
LOADED_S = 2.0
FULL_S = 6.0
TRIED_EVERY_S = 0.3
INSUFFICIENT_STORAGE = 507
REFUSALS = frozenset({UNAVAILABLE, INSUFFICIENT_STORAGE, TOO_MANY})
FILLER = "rag.alerts.filler"
UPLOADS = f"OBJ_{topology.UPLOADS.name}"

Act = Callable[[], Awaitable[None]]


class LimitedServer(NatsServer):
    """Its allowance can be changed, which takes a restart: streams reserve more than they ever hold."""

    def allow(self, max_store_bytes: int) -> None:
        self._max_store_bytes = max_store_bytes
        self.restart()


class StorageFull(Row):
    number = "7"
    name = "broker's allowance used up"
    fault = "max_file_store is reached under load, and room is made again"
    passes = "no 2xx for what was not stored; 0 lost; all goes on without restart"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        with TemporaryDirectory(prefix="waggle-store-") as folder:
            server = LimitedServer(Path(folder))
            async with running(seed=trial.seed, scale=trial.scale, server=server) as stack:
                work = Workload(stack)
                await work.prepare()
                await asyncio.to_thread(server.allow, ALLOWANCE_BYTES)
                await stack.connected()
                await work.served_after_s()
                await _full(stack, work, outcome, fill=lambda: _fill(stack), make_room=lambda: _purge(stack))
        return outcome


class DiskFull(Row):
    number = "7"
    name = "broker's disk full"
    fault = "the disk of the broker is full under load; room is made, and the broker restarted, as operations.md says"
    passes = "no 2xx for what was not stored; 0 lost; all goes on without restart of Waggle"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        with small_disk(DISK_BYTES) as disk:
            async with running(seed=trial.seed, scale=trial.scale, server=NatsServer(disk.folder)) as stack:
                work = Workload(stack)
                await work.prepare()

                async def make_room() -> None:
                    disk.make_room()
                    await asyncio.to_thread(stack.server.restart)

                await _full(stack, work, outcome, fill=lambda: asyncio.to_thread(disk.fill), make_room=make_room)
        return outcome


class UploadsFull(Row):
    number = "7"
    name = "uploads full"
    fault = "the bucket of uploads is at its limit, which is then raised again"
    passes = "no 2xx for what was not stored; 0 lost; all goes on without restart"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            usual = (await _config(stack))["max_bytes"]
            await _full(
                stack,
                work,
                outcome,
                fill=lambda: _limit_uploads(stack, 1),
                make_room=lambda: _limit_uploads(stack, usual),
            )
        return outcome


async def _full(stack: Stack, work: Workload, outcome: Outcome, *, fill: Act, make_room: Act) -> None:
    """Use up what room there is under load, hand in documents meanwhile, make room, and look."""
    async with work.going_on():
        await asyncio.sleep(LOADED_S)
        await fill()
        statuses = await _statuses(stack, work)
        await make_room()
        outcome.back_s.append(await work.served_after_s())
        await work.is_ready(await work.submit())
    outcome.notes |= {f"answered {status}": statuses.count(status) for status in set(statuses)}
    outcome.require(REFUSALS & set(statuses), f"nothing was refused: {statuses}")
    outcome.require(set(statuses) <= REFUSALS | {ACCEPTED}, f"refused otherwise: {statuses}")
    await stack.connected()
    outcome.verdict = await stack.examine()
    outcome.require(not stack.fleet.exits, f"processes ended: {stack.fleet.exits}")


async def _statuses(stack: Stack, work: Workload) -> list[int]:
    """What documents are answered for a while. One may be accepted when an acknowledged message has made room for it."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + FULL_S
    handed_in = []
    while loop.time() < ends_at:
        handed_in.append(asyncio.create_task(stack.client.submit(work.fresh())))
        await asyncio.sleep(TRIED_EVERY_S)
    return [reply.status for reply in await asyncio.gather(*handed_in)]


async def _fill(stack: Stack) -> None:
    """Store what nobody needs until the broker has no room left, not even for a little."""
    for size in (900_000, 10_000, 1):
        try:
            while True:
                await stack.broker.publish_bytes(FILLER, b"x" * size, stream=topology.OPS.name)
        except BrokerFullError:
            continue


async def _purge(stack: Stack) -> None:
    await Storage(stack.broker).purge(topology.OPS.name, FILLER)


async def _config(stack: Stack) -> dict[str, int]:
    reply = await stack.broker.nc.request(f"$JS.API.STREAM.INFO.{UPLOADS}", b"", timeout=5)
    config: dict[str, int] = json.loads(reply.data)["config"]
    return config


async def _limit_uploads(stack: Stack, max_bytes: int) -> None:
    config = {**await _config(stack), "max_bytes": max_bytes}
    reply = await stack.broker.nc.request(f"$JS.API.STREAM.UPDATE.{UPLOADS}", json.dumps(config).encode(), timeout=5)
    assert "error" not in json.loads(reply.data), reply.data

"""Row 32: three brokers, of which one dies."""

from __future__ import annotations

import asyncio
import time

from messaging.errors import BrokerUnavailableError
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload
from tests.support.clusters import Cluster
from tests.support.waiting import until

LED = ("KV_documents", "INGEST", "EMBED", "QUERY", "TERMINALS", "OBJ_uploads")
"""The streams whose leaders are killed, one after another."""
LOADED_S = 2.0
COMES_EVERY_S = 0.5
BACK_S = 10.0
BACK_TIMEOUT_S = 60.0


class LeaderKills(Row):
    number = "32"
    name = "leader killed"
    fault = "three brokers with three copies of everything; the leader of one stream after another killed under load"
    passes = "0 lost; serving again within 10 s"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale, clustered=True) as stack:
            assert stack.cluster is not None
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for stream in LED:
                    await asyncio.sleep(LOADED_S)
                    await self._kill_leader(stack, stack.cluster, stream, work, outcome)
                    trial.say(f"leader of {stream} killed, back after {outcome.back_s[-1]:.1f} s")
            await stack.connected()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
            outcome.require(max(outcome.back_s) <= BACK_S, f"served again only after {max(outcome.back_s):.1f} s")
        return outcome

    async def _kill_leader(self, stack: Stack, cluster: Cluster, stream: str, work: Workload, outcome: Outcome) -> None:
        server = cluster.servers[await self._leader(stack, cluster, stream)]
        await asyncio.to_thread(server.kill)
        outcome.kills += 1
        outcome.back_s.append(await self._served_after_s(stack, work))
        await asyncio.to_thread(server.start)
        await cluster.whole(stack.broker, *LED)

    async def _served_after_s(self, stack: Stack, work: Workload) -> float:
        """Somebody new comes every moment; how long until the first of them has been served with everything."""
        begun, served_at = time.monotonic(), asyncio.get_running_loop().create_future()

        async def customer() -> None:
            submitted, asked = await asyncio.gather(
                stack.client.submit(work.fresh()), stack.client.ask("which hive hums", generate=False)
            )
            if submitted.ok and asked.ok and not served_at.done():
                served_at.set_result(time.monotonic())

        async with asyncio.timeout(BACK_TIMEOUT_S), asyncio.TaskGroup() as customers:
            while not served_at.done():
                customers.create_task(customer())
                await asyncio.wait({served_at}, timeout=COMES_EVERY_S)
        return float(served_at.result() - begun)

    async def _leader(self, stack: Stack, cluster: Cluster, stream: str) -> str:
        found: list[str] = []

        async def elected() -> bool:
            try:
                found[:] = [await cluster.leader_of(stack.broker, stream)]
            except (BrokerUnavailableError, AssertionError):
                return False
            return True

        await until(elected, timeout_s=BACK_TIMEOUT_S)
        return found[0]

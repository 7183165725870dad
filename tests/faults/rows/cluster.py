"""Row 32: three brokers, of which one dies."""

from __future__ import annotations

import asyncio
import time

from messaging.errors import BrokerUnavailableError
from tests.faults.elections import Elections
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
AFTER_ELECTION_S = 2.0
"""The brokers elect each stream's and consumer's leader by itself, 4 to 9 s after the last one was heard, and again where
votes split; no setting of theirs shortens that. What Waggle adds to the last of them is bounded by this."""
BACK_TIMEOUT_S = 60.0


class LeaderKills(Row):
    number = "32"
    name = "leader killed"
    fault = "three brokers with three copies of everything; the leader of one stream after another killed under load"
    passes = "0 lost; serving again within 10 s, or 2 s after the last election where that alone took longer"

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale, clustered=True) as stack:
            assert stack.cluster is not None
            work = Workload(stack)
            await work.prepare()
            async with work.going_on(), Elections.of(stack.cluster) as elections:
                for stream in LED:
                    await asyncio.sleep(LOADED_S)
                    back_s, elected_s = await self._kill_leader(stack, stack.cluster, stream, work, elections)
                    trial.say(f"{stream}: leader killed, elected after {elected_s:.1f} s, served after {back_s:.1f} s")
                    outcome.kills += 1
                    outcome.back_s.append(back_s)
                    outcome.require(
                        back_s <= max(BACK_S, elected_s + AFTER_ELECTION_S),
                        f"{stream}: served again only after {back_s:.1f} s, the last election after {elected_s:.1f} s",
                    )
            await stack.connected()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _kill_leader(
        self, stack: Stack, cluster: Cluster, stream: str, work: Workload, elections: Elections
    ) -> tuple[float, float]:
        """Seconds until somebody was served, and until the last election before that."""
        server = cluster.servers[await self._leader(stack, cluster, stream)]
        await asyncio.to_thread(server.kill)
        begun = time.monotonic()
        served_at = await self._served_at(stack, work)
        await asyncio.to_thread(server.start)
        await cluster.whole(stack.broker, *LED)
        return served_at - begun, elections.took_s(begun, served_at)

    async def _served_at(self, stack: Stack, work: Workload) -> float:
        """Somebody new comes every moment; when (monotonic) the first of them has been served with everything."""
        served_at = asyncio.get_running_loop().create_future()

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
        return float(served_at.result())

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

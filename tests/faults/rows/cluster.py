"""Row 32: three brokers, of which one dies."""

from __future__ import annotations

import asyncio
import math
import time

from messaging.errors import BrokerUnavailableError
from messaging.live import woken_within
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
BOTH = "longest until somebody new had both in s"
"""Told, not judged: how long the work takes that waited meanwhile depends on the load and on the cores."""


class _Customers:
    """Somebody new comes every moment, to hand in a document and to search; times (monotonic) of the first successes.

    Who comes while a leader is elected is answered as soon as there is one; who comes later stands behind all who waited.
    """

    def __init__(self, stack: Stack, work: Workload) -> None:
        self._stack = stack
        self._work = work
        self.accepted_at = self.answered_at = self.both_at = math.inf

    async def served(self) -> None:
        """Until one of them had both."""
        done = asyncio.Event()
        async with asyncio.timeout(BACK_TIMEOUT_S), asyncio.TaskGroup() as customers:
            while not done.is_set():
                customers.create_task(self._customer(done))
                await woken_within(done, COMES_EVERY_S)

    async def _customer(self, done: asyncio.Event) -> None:
        if all(await asyncio.gather(self._submitted(), self._searched())):
            self.both_at = min(self.both_at, time.monotonic())
            done.set()

    async def _submitted(self) -> bool:
        ok = (await self._stack.client.submit(self._work.fresh())).ok
        self.accepted_at = min(self.accepted_at, time.monotonic() if ok else math.inf)
        return ok

    async def _searched(self) -> bool:
        ok = (await self._stack.client.ask("which hive hums", generate=False)).ok
        self.answered_at = min(self.answered_at, time.monotonic() if ok else math.inf)
        return ok


class LeaderKills(Row):
    number = "32"
    name = "leader killed"
    fault = "three brokers with three copies of everything; the leader of one stream after another killed under load"
    passes = (
        "0 lost; a document accepted and a search answered within 10 s, or 2 s after the last election where that alone "
        "took longer"
    )

    async def run(self, trial: Trial) -> Outcome:
        outcome = Outcome()
        async with running(seed=trial.seed, scale=trial.scale, clustered=True) as stack:
            assert stack.cluster is not None
            work = Workload(stack)
            await work.prepare()
            async with work.going_on(), Elections.of(stack.cluster) as elections:
                for stream in LED:
                    await asyncio.sleep(LOADED_S)
                    back_s, both_s, elected_s = await self._kill_leader(stack, stack.cluster, stream, work, elections)
                    trial.say(
                        f"{stream}: leader killed, elected after {elected_s:.1f} s, served after {back_s:.1f} s, somebody new "
                        f"with both after {both_s:.1f} s"
                    )
                    outcome.kills += 1
                    outcome.back_s.append(back_s)
                    outcome.notes[BOTH] = max(outcome.notes.get(BOTH, 0.0), round(both_s, 1))
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
    ) -> tuple[float, float, float]:
        """Seconds until a document was accepted and a search answered, until somebody new had both, and until the last
        election before the first.
        """
        server = cluster.servers[await self._leader(stack, cluster, stream)]
        await asyncio.to_thread(server.kill)
        begun = time.monotonic()
        customers = _Customers(stack, work)
        await customers.served()
        await asyncio.to_thread(server.start)
        await cluster.whole(stack.broker, *LED)
        back_at = max(customers.accepted_at, customers.answered_at)
        return back_at - begun, customers.both_at - begun, elections.took_s(begun, back_at)

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

"""An observer that does not hear, and two of them."""

from __future__ import annotations

import signal
from contextlib import suppress

import psutil

from contracts.diagnoses import Cause, RecommendedAction
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import OBSERVERS, Site
from tests.healing.switches import Switch
from tests.support.waiting import until

TAKEN_OVER_S = 90.0


class ObserversParted(Fault):
    name = "observers parted"
    fault = "nothing passes between both observers and the broker, for longer than the lease"
    passes = "nothing is done while they hear nothing, nor when they hear again"
    repairer = Repairer.CAMPAIGN
    blind = True
    clouds = True
    besides = frozenset({Cause.BACKEND_CONNECTION_LOST})
    """The broker's, which is what they see."""
    hold_s = 45.0

    async def strike(self, site: Site) -> Struck:
        for name in OBSERVERS:
            await site.links[name].silence()
        return Struck(what="nothing passes between the observers and the broker")

    async def relieve(self, site: Site, struck: Struck) -> None:
        for name in OBSERVERS:
            await site.links[name].restore()

    async def mended(self, site: Site, struck: Struck) -> bool:
        return all(site.heard(name) is not None for name in OBSERVERS)


class HeartbeatsDropped(Fault):
    name = "all heartbeats dropped"
    fault = "no heartbeat of anybody but observers and operator arrives, though all work"
    passes = "nothing is done: the observer suspects itself"
    repairer = Repairer.CAMPAIGN
    blind = True
    clouds = True
    besides = frozenset({Cause.SERVICE_UNAVAILABLE})
    """They are silent, the first of them before it is known that all are."""
    hold_s = 30.0

    async def strike(self, site: Site) -> Struck:
        site.switches.turn_on(Switch.MUTE)
        return Struck(what="no heartbeats arrive")

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.switches.turn_off(Switch.MUTE)

    async def mended(self, site: Site, struck: Struck) -> bool:
        return all(site.heard(name) is not None for name in ("embed-1", "retrieve-1", "generate-1", "keeper-1"))


class TwoObservers(Fault):
    name = "two observers"
    fault = "the observer that leads stands still until the other one leads, goes on, and a worker stands still"
    passes = "of two that believe to lead one acts: the worker is named within 15 s and restarted once"
    repairer = Repairer.OPERATOR
    cause = Cause.SERVICE_UNAVAILABLE
    actions = frozenset({RecommendedAction.RESTART_SERVICE})
    lonely = True

    async def strike(self, site: Site) -> Struck:
        leader, worker = site.leader(), site.victim("generate-1", "retrieve-1", "ingest-1")
        standing = await site.process(leader)
        standing.send_signal(signal.SIGSTOP)
        (other,) = (name for name in OBSERVERS if name != leader)
        await until(lambda: site.leads(other), timeout_s=TAKEN_OVER_S, what=f"{other} leads")
        process = await site.process(worker)
        with suppress(psutil.NoSuchProcess):  # restarted already, by the one that leads
            standing.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGSTOP)
        service = worker.rpartition("-")[0]
        return Struck(
            what=f"{leader} led, stood still until {other} led, and went on; SIGSTOP of {worker}",
            named=frozenset({worker, service}),
            also=frozenset({leader}),
            targets=frozenset({worker, leader}),
            pid=process.pid,
            at=site.broker.clock.now(),
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        worker = next(name for name in struck.targets if name not in OBSERVERS)
        return await site.serves_anew(worker, struck.pid) and all(site.heard(name) for name in OBSERVERS)

"""An observer that does not hear, and two of them."""

from __future__ import annotations

import signal

from contracts.diagnoses import Cause, RecommendedAction
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import OBSERVERS, Site
from tests.healing.switches import Switch


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
    fault = "SIGSTOP to the observer that leads and to a worker"
    passes = "the other observer has both restarted, each once, soon after the lease is over"
    repairer = Repairer.OPERATOR
    cause = Cause.SERVICE_UNAVAILABLE
    actions = frozenset({RecommendedAction.RESTART_SERVICE})
    detect_within_s = 60.0
    """The lease of the one that stands still has to end first, which takes 30 s."""
    repair_within_s = 60.0

    async def strike(self, site: Site) -> Struck:
        leader, worker = site.leader(), site.victim("generate-1", "retrieve-1", "ingest-1")
        (await site.process(leader)).send_signal(signal.SIGSTOP)
        process = await site.process(worker)
        process.send_signal(signal.SIGSTOP)
        service = worker.rpartition("-")[0]
        return Struck(
            what=f"SIGSTOP of {leader}, which leads, and of {worker}",
            named=frozenset({worker, service, leader}),
            targets=frozenset({worker, leader}),
            pid=process.pid,
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        worker = next(name for name in struck.targets if name not in OBSERVERS)
        heard = [site.heard(name) for name in OBSERVERS]
        return await site.serves_anew(worker, struck.pid) and all(heard)

    async def relieve(self, site: Site, struck: Struck) -> None:
        for name in OBSERVERS:
            (await site.process(name)).send_signal(signal.SIGCONT)

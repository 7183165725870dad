"""Workers that end, that stand still, and that live and do nothing."""

from __future__ import annotations

import signal

from contracts.diagnoses import Cause, RecommendedAction
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.scale import SCALED
from tests.healing.site import Setup, Site
from tests.healing.switches import Switch

OF_EMBED = ("embed-1", "embed-2")
ANY = ("ingest-1", "retrieve-1", "generate-1", "keeper-1")
REPAIRED_BY_PLATFORM_S = 5.0


class Killed(Fault):
    name = "killed"
    fault = "SIGKILL to a worker"
    passes = "the platform starts it again within 5 s; nothing is done by the operator"
    repairer = Repairer.PLATFORM
    detect_within_s = REPAIRED_BY_PLATFORM_S
    repair_within_s = REPAIRED_BY_PLATFORM_S
    hold_s = 12.0

    async def strike(self, site: Site) -> Struck:
        name = site.victim(*ANY)
        process = await site.process(name)
        process.kill()
        return Struck(what=f"kill -9 of {name}", targets=frozenset({name}), pid=process.pid)

    async def detected(self, site: Site, struck: Struck) -> bool:
        (name,) = struck.targets
        return (await site.instance(name)).pid != struck.pid

    async def mended(self, site: Site, struck: Struck) -> bool:
        (name,) = struck.targets
        return await site.serves_anew(name, struck.pid)


class Restarted(Fault):
    """What is cured by a restart."""

    repairer = Repairer.OPERATOR
    cause = Cause.SERVICE_UNAVAILABLE
    actions = frozenset({RecommendedAction.RESTART_SERVICE})
    passes = "it is named within 15 s and serves again within 30 s more, restarted once"

    async def mended(self, site: Site, struck: Struck) -> bool:
        (name,) = struck.targets
        return await site.serves_anew(name, struck.pid)


class Frozen(Restarted):
    name = "frozen"
    fault = "SIGSTOP to a worker"

    async def strike(self, site: Site) -> Struck:
        name = site.victim(*ANY)
        process = await site.process(name)
        process.send_signal(signal.SIGSTOP)
        service = name.rpartition("-")[0]
        return Struck(
            what=f"SIGSTOP of {name}", named=frozenset({name, service}), targets=frozenset({name}), pid=process.pid
        )


class NeverReturns(Restarted):
    name = "handler that never returns"
    fault = "every handler of a worker waits for ever, while its heartbeats go on"
    passes = "it is named within 15 s of when it counts as stuck, and serves again within 30 s more, restarted once"
    detect_within_s = SCALED.stuck_after_s + 15.0

    async def strike(self, site: Site) -> Struck:
        name = site.victim(*OF_EMBED)
        process = await site.process(name)
        site.switches.turn_on(Switch.HANGS, name)
        return Struck(
            what=f"handlers of {name} never return", named=frozenset({name}), targets=frozenset({name}), pid=process.pid
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await _anew_without(Switch.HANGS, site, struck)

    async def relieve(self, site: Site, struck: Struck) -> None:
        (name,) = struck.targets
        site.switches.turn_off(Switch.HANGS, name)


class Leak(Restarted):
    name = "leak"
    fault = "a worker takes 2 MiB more each second, for observers that know a leak after 90 s instead of an hour"
    passes = "it is named and restarted once, while it still works"
    setup = Setup(hasty=True)
    cause = Cause.MEMORY_LEAK
    detect_within_s = 150.0

    async def strike(self, site: Site) -> Struck:
        name = site.victim("retrieve-1", "ingest-1", "generate-1")
        process = await site.process(name)
        site.switches.turn_on(Switch.LEAKS, name)
        return Struck(what=f"{name} leaks", named=frozenset({name}), targets=frozenset({name}), pid=process.pid)

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await _anew_without(Switch.LEAKS, site, struck)

    async def relieve(self, site: Site, struck: Struck) -> None:
        (name,) = struck.targets
        site.switches.turn_off(Switch.LEAKS, name)


async def _anew_without(switch: Switch, site: Site, struck: Struck) -> bool:
    """Whether another process takes work under the name; what is wrong was wrong with the one before."""
    (name,) = struck.targets
    if (await site.instance(name)).pid not in {None, struck.pid}:  # None: between the two
        site.switches.turn_off(switch, name)
    return await site.serves_anew(name, struck.pid)

"""A worker that is cut off, once, and again and again."""

from __future__ import annotations

import asyncio

from contracts.diagnoses import Cause, RecommendedAction
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Site

AWAY_S = 12.0
BACK_S = 6.0
TIMES = 3


class WorkerParted(Fault):
    name = "worker parted"
    fault = "nothing passes between a worker and the broker for half a minute"
    passes = "it is named within 15 s; it may be restarted once, and nobody else is"
    repairer = Repairer.CAMPAIGN
    cause = Cause.SERVICE_UNAVAILABLE
    actions = frozenset({RecommendedAction.RESTART_SERVICE})
    hold_s = 20.0

    async def strike(self, site: Site) -> Struck:
        name = site.victim("retrieve-2")
        await site.links[name].silence()
        return Struck(
            what=f"nothing passes between {name} and the broker", named=frozenset({name}), targets=frozenset({name})
        )

    async def relieve(self, site: Site, struck: Struck) -> None:
        (name,) = struck.targets
        await site.links[name].restore()

    async def mended(self, site: Site, struck: Struck) -> bool:
        (name,) = struck.targets
        return site.heard(name) is not None


class Flapping(WorkerParted):
    name = "flapping"
    fault = "a worker is cut off for 12 s and back for 6 s, three times"
    passes = "it is restarted twice at most, and nobody else is"
    most_actions = 2
    hold_s = 0.0
    lonely = True

    async def strike(self, site: Site) -> Struck:
        name = site.victim("generate-2")
        for _ in range(TIMES - 1):
            await site.links[name].silence()
            await asyncio.sleep(AWAY_S)
            await site.links[name].restore()
            await asyncio.sleep(BACK_S)
        await site.links[name].silence()
        return Struck(what=f"{name} comes and goes", named=frozenset({name}), targets=frozenset({name}))

    detect_within_s = (TIMES - 1) * (AWAY_S + BACK_S) + 15.0

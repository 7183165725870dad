"""More work than gets done, and work that takes long and is well."""

from __future__ import annotations

import asyncio
from itertools import count

from contracts.diagnoses import Cause, RecommendedAction
from tests.faults.documents import text_of
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Setup, Site
from tests.healing.switches import Switch

BURST = 24
FLOOD_EVERY_S = 0.3
PARTS = 20
PARTS_OF_ONE_MESSAGE = 4


class SlowBurst(Fault):
    name = "burst of slow work"
    fault = "24 documents at once while every batch takes 4 s longer, which is well"
    passes = "nothing is done"
    repairer = Repairer.CAMPAIGN
    hold_s = 45.0

    async def strike(self, site: Site) -> Struck:
        site.switches.turn_on(Switch.SLOW_ENCODER)
        await hand_in(site, "burst", BURST)
        return Struck(what=f"{BURST} documents at once, and a slow encoder")

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await site.answers()

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.switches.turn_off(Switch.SLOW_ENCODER)


class Backlog(Fault):
    name = "backlog growing"
    fault = "a single slow embed gets more work than it does, for minutes"
    passes = "it is named as soon as it has grown for 5 minutes, and a second embed works"
    setup = Setup(
        replicas={"embed": 1, "retrieve": 2, "generate": 2, "observer": 2},
        environment={"WAGGLE_EMBED_BATCH_MESSAGES": "1"},
    )
    repairer = Repairer.OPERATOR
    cause = Cause.BACKLOG_GROWING
    actions = frozenset({RecommendedAction.SCALE_UP})
    most_actions = 2
    besides = frozenset({Cause.SLOW_CONSUMER})
    detect_within_s = 420.0
    lonely = True

    def __init__(self) -> None:
        self._flood: asyncio.Task[None] | None = None

    async def strike(self, site: Site) -> Struck:
        site.switches.turn_on(Switch.SLOW_ENCODER)
        self._flood = asyncio.create_task(flood(site))
        return Struck(
            what="documents without end for a slow embed", named=frozenset({"embed"}), targets=frozenset({"embed"})
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        return site.heard("embed-2") is not None

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.switches.turn_off(Switch.SLOW_ENCODER)
        if self._flood is not None:
            self._flood.cancel()
            await asyncio.wait([self._flood])
            assert self._flood.cancelled(), f"the flood broke off: {self._flood.exception()}"


async def flood(site: Site) -> None:
    """One message for embed each time, and several of them in a second, until cancelled."""
    for number in count():
        document = text_of(f"flood-{number}", 1, site.seed, parts=PARTS_OF_ONE_MESSAGE)
        await asyncio.gather(site.client.submit_surely(document), asyncio.sleep(FLOOD_EVERY_S))


async def hand_in(site: Site, name: str, documents: int) -> None:
    for number in range(documents):
        await site.client.submit_surely(text_of(f"{name}-{number}", 1, site.seed, parts=PARTS))

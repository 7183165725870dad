"""Messages that do harm to who handles them, and handlers that fail on every one."""

from __future__ import annotations

from contracts.diagnoses import Cause, RecommendedAction
from contracts.documents import DocumentState
from tests.faults.documents import text_of
from tests.faults.plans import Action, Plan
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Site

POINT = "embed.begun"
PARTS = 4
"""One batch, so that it is one message."""


class Poison(Fault):
    name = "poison message"
    fault = "whoever begins to embed one document dies, while others are embedded"
    passes = "it is named once it has come again for 3 minutes, who died is started again by the platform, and a person is called"
    repairer = Repairer.CAMPAIGN
    cause = Cause.POISON_MESSAGE
    besides = frozenset({Cause.SERVICE_UNAVAILABLE})
    """For the seconds in which those that died are started again."""
    detect_within_s = 300.0
    lonely = True
    hold_s = 20.0

    async def strike(self, site: Site) -> Struck:
        poisoned = text_of("poison", 1, site.seed, parts=PARTS)
        site.plans.arm(Plan(point=POINT, action=Action.KILL, containing=poisoned.document_id, once=False))
        await site.client.submit_surely(poisoned)
        return Struck(what="a document that kills whoever embeds it", named=frozenset({"embed"}))

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.plans.disarm(POINT)

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await site.answers()


class Failing(Fault):
    name = "handlers that raise"
    fault = "every batch that embed is given raises"
    passes = (
        "it is named within 45 s, and embed is restarted, once each; what came again meanwhile is indexed afterwards"
    )
    repairer = Repairer.CAMPAIGN
    cause = Cause.HIGH_ERROR_RATE
    actions = frozenset({RecommendedAction.RESTART_SERVICE})
    detect_within_s = 45.0
    lonely = True
    hold_s = 20.0

    def __init__(self) -> None:
        self._document_id = ""

    async def strike(self, site: Site) -> Struck:
        site.plans.arm(Plan(point=POINT, action=Action.RAISE, once=False))
        document = text_of("meanwhile", 1, site.seed, parts=PARTS)
        self._document_id = document.document_id
        await site.client.submit_surely(document)
        embed = frozenset({"embed", "embed-1", "embed-2"})
        return Struck(what="whatever embed is given raises", named=frozenset({"embed"}), targets=embed)

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.plans.disarm(POINT)

    async def mended(self, site: Site, struck: Struck) -> bool:
        shown = await site.client.show(self._document_id)
        return shown is not None and shown["state"] == DocumentState.READY

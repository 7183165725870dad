"""Messages that do harm to who handles them."""

from __future__ import annotations

from contracts.diagnoses import Cause
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

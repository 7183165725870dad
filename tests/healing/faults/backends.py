"""What workers depend on: away, slow, or replaced by a standby."""

from __future__ import annotations

from contracts.diagnoses import Cause, RecommendedAction
from contracts.runtime_config import EndpointClass
from messaging.configuration import ConfigBook
from tests.faults.backends import Backend, switch_of
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Setup, Site
from tests.healing.switches import Switch

ASKED = 10


class EndpointDown(Fault):
    name = "endpoint down"
    fault = "the first endpoint of the model refuses connections; there is a standby"
    passes = "questions are answered at once: the pool asks the standby; nothing is restarted"
    repairer = Repairer.ITSELF
    actions = frozenset({RecommendedAction.FAILOVER})
    hold_s = 20.0

    async def strike(self, site: Site) -> Struck:
        await site.chats[0].stop()
        return Struck(what="the first endpoint is down", targets=frozenset({"generator"}))

    async def mended(self, site: Site, struck: Struck) -> bool:
        return all([await site.answers() for _ in range(ASKED)])

    async def relieve(self, site: Site, struck: Struck) -> None:
        await site.chats[0].start()


class IndexDown(Fault):
    name = "index down"
    fault = "the index fails for half a minute, and there is no standby"
    passes = "it is named within 15 s, nothing is restarted, and a person is called"
    repairer = Repairer.CAMPAIGN
    cause = Cause.BACKEND_CONNECTION_LOST
    hold_s = 20.0
    lonely = True

    async def strike(self, site: Site) -> Struck:
        switch_of(site.folder, Backend.INDEX).touch()
        return Struck(what="the index is away", named=frozenset({"index"}))

    async def relieve(self, site: Site, struck: Struck) -> None:
        switch_of(site.folder, Backend.INDEX).unlink(missing_ok=True)

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await site.answers()


class IndexLeft(Fault):
    name = "index down, with a standby"
    fault = "nobody answers any more at the first address of the index (Weaviate), which has a second one"
    passes = "it is named within 15 s, the second address is used, and the first one again some time after it is back"
    setup = Setup(weaviate=True)
    repairer = Repairer.OPERATOR
    cause = Cause.BACKEND_CONNECTION_LOST
    actions = frozenset({RecommendedAction.FAILOVER})
    most_actions = 2
    """There and back."""
    returns = True

    async def strike(self, site: Site) -> Struck:
        for link in site.index_links:
            await link.refuse()
        return Struck(
            what="the first address of the index is gone",
            named=frozenset({"index"}),
            also=frozenset({"retrieve", "embed"}),  # who finds out first is named as the one that cannot use it
            targets=frozenset({"index"}),
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await _address(site) is EndpointClass.STANDBY and await site.answers()

    async def relieve(self, site: Site, struck: Struck) -> None:
        for link in site.index_links:
            await link.restore()

    async def returned(self, site: Site, struck: Struck) -> bool:
        return await _address(site) is EndpointClass.PRIMARY and await site.answers()


async def _address(site: Site) -> EndpointClass | None:
    current = await ConfigBook(site.broker).current()
    return None if current is None else current.values.active_index


class SlowSearch(Fault):
    name = "slow backend"
    fault = "every search takes 6 s longer"
    passes = "it is named with its stage within 45 s; at most the cache is cleared and another retrieve added"
    repairer = Repairer.CAMPAIGN
    cause = Cause.HIGH_RESPONSE_TIME
    besides = frozenset({Cause.SLOW_CONSUMER})
    actions = frozenset({RecommendedAction.CLEAR_CACHE, RecommendedAction.SCALE_UP})
    detect_within_s = 45.0
    hold_s = 15.0
    lonely = True

    async def strike(self, site: Site) -> Struck:
        site.switches.turn_on(Switch.SLOW_SEARCH)
        return Struck(what="searches are slow", named=frozenset({"retrieve"}), targets=frozenset({"retrieve"}))

    async def relieve(self, site: Site, struck: Struck) -> None:
        site.switches.turn_off(Switch.SLOW_SEARCH)

    async def mended(self, site: Site, struck: Struck) -> bool:
        return await site.answers()

"""Settings that were changed while everything ran, and do harm."""

from __future__ import annotations

from contracts.diagnoses import Cause, RecommendedAction
from messaging.configuration import ConfigBook
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Site
from tests.support.chat_servers import Behaviour, Exchange, fails

MOST_TOKENS = 1000
TOO_MANY = 1500


class BadRevision(Fault):
    name = "bad config revision"
    fault = "a revision asks the model for more tokens than it gives, which its servers refuse"
    passes = "errors are named within 30 s, and the revision before counts again within 30 s more"
    repairer = Repairer.OPERATOR
    cause = Cause.HIGH_ERROR_RATE
    actions = frozenset({RecommendedAction.ROLLBACK})
    detect_within_s = 30.0
    lonely = True

    async def strike(self, site: Site) -> Struck:
        for chat in site.chats:
            chat.always = refuses_many_tokens(chat.always)
        written = await ConfigBook(site.broker).change(
            {"generator_max_tokens": TOO_MANY}, principal="campaign", because="longer answers"
        )
        assert written.revision is not None
        return Struck(
            what=f"revision {written.revision.number} asks for {TOO_MANY} tokens",
            named=frozenset({"generate"}),
            targets=frozenset({"runtime"}),
        )

    async def mended(self, site: Site, struck: Struck) -> bool:
        current = await ConfigBook(site.broker).current()
        return current is not None and current.restores is not None and await site.answers()


def refuses_many_tokens(otherwise: Behaviour) -> Behaviour:
    """As a server whose model holds no more."""
    refused = fails(400, {"error": {"message": f"at most {MOST_TOKENS} tokens can be generated"}})

    async def behave(exchange: Exchange) -> None:
        asked = exchange.request.body.get("max_tokens") or exchange.request.body.get("max_completion_tokens") or 0
        await (refused if asked > MOST_TOKENS else otherwise)(exchange)

    return behave

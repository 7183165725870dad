"""A cache in which wrong things lie."""

from __future__ import annotations

from contracts import topology
from messaging.buckets import Bucket
from tests.faults.documents import QUESTION, text_of
from tests.healing.fault import Fault, Repairer, Struck
from tests.healing.site import Setup, Site
from tests.support.waiting import until

DOCUMENTS = ("cached-1", "cached-2", "cached-3", "cached-4")
PARTS = 4
TTL_S = 600
READY_S = 60.0
RUBBISH = b"\x01 not what was written here"
MOST_ENTRIES = 256


class CachePoisoned(Fault):
    name = "cache poisoned"
    fault = "half of the shared cache is overwritten with rubbish, and the rest with each other's entries"
    passes = "every question is answered from its own document, and nothing is done"
    setup = Setup(environment={"WAGGLE_CACHE": "nats", "WAGGLE_CACHE_NEAR_TTL_S": "0.2"})
    repairer = Repairer.ITSELF
    hold_s = 15.0

    async def strike(self, site: Site) -> Struck:
        for document in DOCUMENTS:
            await site.client.submit_surely(text_of(document, 1, site.seed, parts=PARTS))
        await until(lambda: self.mended(site, Struck(what="")), timeout_s=READY_S, what="the documents are found")
        entries = await _entries(site)
        assert len(entries) >= 2, "nothing was cached"
        keys, bucket = sorted(entries), Bucket(site.broker, topology.CACHE)
        for number, (key, other) in enumerate(zip(keys, (*keys[1:], keys[0]), strict=True)):
            await bucket.put(key, RUBBISH if number % 2 else entries[other], ttl_s=TTL_S)
        return Struck(what=f"{len(keys)} entries of the cache are wrong")

    async def mended(self, site: Site, struck: Struck) -> bool:
        return all([await _is_answered_from(site, document) for document in DOCUMENTS])


async def _is_answered_from(site: Site, document: str) -> bool:
    """Whether a question to one document is answered, and from no other one."""
    reply = await site.client.ask(QUESTION, documents=(document,))
    passages = reply.body.get("passages", [])
    return reply.ok and bool(passages) and {each["document_id"] for each in passages} == {document}


async def _entries(site: Site) -> dict[str, bytes]:
    """All that is cached, by key."""
    bucket = Bucket(site.broker, topology.CACHE)
    prefix = bucket.subject("")
    stored = bucket.storage.every(bucket.stream, bucket.subject(">"), limit=MOST_ENTRIES)
    return {each.subject.removeprefix(prefix): each.data async for each in stored}

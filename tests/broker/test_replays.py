"""Replays of failed documents that are cut off, meet a full queue, or race: nothing is lost and nothing comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from messaging.broker import Broker
from messaging.ledger import DocumentLedger, LedgerContentionError, SupersededError
from messaging.submissions import Submissions
from messaging.uploads import UploadMissingError, Uploads
from tests.support.failing_ingest import fail, letters
from tests.support.gateways import TEXT, Gateway
from tests.support.waiting import until

FRESH = "fresh-generation"


async def content(broker: Broker, generation: str) -> str | None:
    try:
        return b"".join([p async for p in Uploads(broker).read("default", "bees", generation, "content")]).decode()
    except UploadMissingError:
        return None


async def status_of(gateway: Gateway, letter_id: str) -> int:
    return (await gateway.http.post(f"/v1/dlq/{letter_id}/replay")).status_code


async def test_a_replay_that_finds_the_queue_full_loses_neither_letter_nor_content(gateway, ingest, broker):
    letter = await fail(gateway, "bees")
    ingest.mended = True
    config = (await broker.js.stream_info("INGEST")).config
    await broker.js.update_stream(replace(config, max_bytes=20))
    assert await status_of(gateway, letter["id"]) == 503
    assert [kept["id"] for kept in await letters(gateway)] == [letter["id"]]
    await broker.js.update_stream(config)
    assert await status_of(gateway, letter["id"]) == 202
    await until(lambda: len(ingest.seen) == 2)
    assert await content(broker, ingest.seen[1].generation) == TEXT


async def test_a_replay_that_was_cut_off_goes_on(gateway, ingest, broker):
    await fail(gateway, "bees")
    ingest.mended = True
    submissions = Submissions(broker, DocumentLedger(broker), Uploads(broker))
    for _ in range(2):
        await submissions.resubmit("default", "bees", ingest.seen[0].generation, fresh=FRESH)
    await until(lambda: len(ingest.seen) == 2)
    assert await content(broker, FRESH) == TEXT
    await submissions.close()


async def test_a_replay_that_was_cut_off_does_not_bring_a_deleted_document_back(gateway, ingest, broker):
    await fail(gateway, "bees")
    ingest.mended = True
    submissions = Submissions(broker, DocumentLedger(broker), Uploads(broker))
    await submissions.resubmit("default", "bees", ingest.seen[0].generation, fresh=FRESH)
    await gateway.http.delete("/v1/documents/bees")
    with pytest.raises(SupersededError):
        await submissions.resubmit("default", "bees", ingest.seen[0].generation, fresh=FRESH)
    await until(lambda: _is_gone(broker, FRESH))
    await submissions.close()


async def test_a_try_that_failed_leaves_the_content_to_its_repeat(gateway, ingest, broker):
    await fail(gateway, "bees")
    ingest.mended = True
    first = Submissions(broker, Contended(broker), Uploads(broker))
    with pytest.raises(LedgerContentionError):
        await first.resubmit("default", "bees", ingest.seen[0].generation, fresh=FRESH)
    await until(lambda: first.unsettled == 0)
    assert await content(broker, FRESH) == TEXT
    await first.close()


async def test_what_comes_too_late_for_a_deleted_document_is_removed(gateway, ingest, broker):
    await fail(gateway, "bees")
    late = Submissions(broker, DeletedBefore(broker), Uploads(broker))
    with pytest.raises(SupersededError):
        await late.resubmit("default", "bees", ingest.seen[0].generation, fresh=FRESH)
    await until(lambda: _is_gone(broker, FRESH))
    await late.close()


async def test_all_letters_of_one_submission_run_it_once(gateway, ingest, broker):
    letter = await fail(gateway, "bees")
    again = ingest.seen[0].to_bytes()
    await broker.publish_bytes("rag.ingest.requests.default", again, stream="INGEST")  # fails as well
    await until(lambda: _has_letters(gateway, 2))
    ingest.mended = True
    done = (await gateway.http.post("/v1/dlq/replay", json={"document_id": "bees"})).json()
    assert letter["id"] in [item["id"] for item in done["items"]]
    assert (len(done["items"]), done["refused"]) == (2, [])
    await until(lambda: len(ingest.seen) == 3)
    assert len({request.generation for request in ingest.seen}) == 2


class Contended(DocumentLedger):
    async def submit(self, *_, **__):
        raise LedgerContentionError("changed by others")


class DeletedBefore(DocumentLedger):
    """Somebody deletes the document at the last moment."""

    async def submit(self, tenant, document_id, **options):
        await self.delete(tenant, document_id)
        return await super().submit(tenant, document_id, **options)


async def _is_gone(broker: Broker, generation: str) -> bool:
    return await content(broker, generation) is None


async def _has_letters(gateway: Gateway, number: int) -> bool:
    return len(await letters(gateway)) == number

"""Backup and restore with real brokers: everything is destroyed in between."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts import topology
from contracts.documents import DocumentRecord, DocumentState, GenerationState
from contracts.errors import ErrorCode
from messaging.backup import RestoreStalledError, back_up
from messaging.backup.documents import Documents
from messaging.backup.snapshot import read_ledger
from messaging.backup.writing import BackupFolder, UploadArchive
from messaging.buckets import Bucket
from messaging.letterbox import Wanted
from messaging.uploads import Uploads
from tests.broker.backups import backed_up, restored
from tests.support.sites import TENANT, Site, site
from tests.support.waiting import until

READY, FAILED, DELETED = DocumentState.READY, DocumentState.FAILED, DocumentState.DELETED
TORN = b"%PDF-1.7\nnothing of the kind"
LARGE = b"<html><body><p>The xylophone stands here.</p><!--" + random.Random(4).randbytes(1_500_000).hex().encode()
LARGE += b"--></body></html>"


async def populated(here: Site) -> dict[str, DocumentRecord]:
    """Documents in every state, decisions, and letters; returns the records."""
    async with here.working():
        await here.submit("plain", b"The zebra sleeps.", metadata={"topic": "bees"}, principal="ada")
        await here.submit("large", LARGE, name="large.html")
        await here.submit("twice", b"The heron of yesterday.")
        await here.submit("updated", b"The otter swims.")
        await here.submit("spoilt", b"The lynx hunts.", name="lynx.txt")
        await here.submit("torn", TORN, name="torn.pdf")
        await here.submit("gone", b"The dodo is forgotten.")
        for document_id in ("plain", "large", "twice", "updated", "spoilt", "gone"):
            await here.ends(document_id, READY)
        await here.submit("twice", b"The heron of today.")
        await here.submit("spoilt", TORN, name="lynx.pdf")
        await here.submissions.delete(TENANT, "gone")
        await here.ends("twice", READY)
        for document_id in ("torn", "spoilt"):
            await here.ends(document_id, FAILED)
        await until(lambda: letters_of(here, 2))
    await here.submit("updated", b"The otter dives.")
    await here.submit("waiting", b"The ibex climbs.")
    config = Bucket(here.broker, topology.CONFIG)
    first = await config.write("generator", b"extractive", revision=0)
    await config.write("generator", b"model", revision=first)
    await Bucket(here.broker, topology.APIKEYS).write("key-1", b"{}", revision=0)
    names = ("plain", "large", "twice", "updated", "spoilt", "torn", "gone", "waiting")
    return {name: await here.record(name) for name in names}


async def letters_of(where: Site, number: int) -> bool:
    return len((await where.letters.page(TENANT, Wanted(), limit=50)).items) == number


class TestEverythingIsDestroyedInBetween:
    async def test_all_is_as_it_was(self, tmp_path: Path, there: Site) -> None:
        folder = tmp_path / "backup"
        async with site(tmp_path / "here") as here:
            before = await populated(here)
            letters = (await here.letters.page(TENANT, Wanted(), limit=50)).items
            manifest = await back_up(here.broker, folder)
        assert not (tmp_path / "here").exists()
        assert (manifest.counts.documents, manifest.counts.deleted_documents) == (7, 1)
        assert (manifest.counts.uploads_missing, manifest.counts.dead_letters, manifest.counts.settings) == (0, 2, 3)

        async with there.working():
            result = await restored(there, folder)

            assert result.outcome is not None
            assert (result.outcome.searchable, result.outcome.failures) == (6, 0)
            await there.ends("updated", READY)
            for word in ("zebra", "xylophone", "today", "dives", "lynx", "ibex"):
                assert len(await there.found(word)) == 1, word
            for word in ("yesterday", "swims", "dodo"):
                assert await there.found(word) == [], word
            await self.records_are_kept(there, before)
            assert [letter.id for letter in letters] == [
                letter.id for letter in (await there.letters.page(TENANT, Wanted(), limit=50)).items
            ]
            await self.decisions_are_kept(there)
            await self.a_letter_is_replayed(there, before["torn"])

    async def records_are_kept(self, there: Site, before: dict[str, DocumentRecord]) -> None:
        for document_id, old in before.items():
            new = await there.record(document_id)
            expected = READY if document_id in {"waiting", "updated"} else old.state
            assert (new.state, new.latest.version) == (expected, old.latest.version), document_id
            kept = ("name", "sha256", "size_bytes", "metadata", "principal", "failure")
            assert [getattr(new.latest, k) for k in kept] == [getattr(old.latest, k) for k in kept], document_id
        assert (await there.record("plain")).latest.submitted_at == before["plain"].latest.submitted_at
        assert (await there.record("torn")) == before["torn"]
        assert (await there.record("gone")) == before["gone"]
        assert (await there.record("spoilt")).latest == before["spoilt"].latest
        assert await there.content("large", str((await there.record("large")).visible_generation)) == LARGE

    async def decisions_are_kept(self, there: Site) -> None:
        history = await there.storage.following("KV_config", "$KV.config.generator")
        assert [stored.data for stored in history] == [b"extractive", b"model"]
        entry = await Bucket(there.broker, topology.APIKEYS).get("key-1")
        assert entry is not None
        assert entry.value == b"{}"

    async def a_letter_is_replayed(self, there: Site, torn: DocumentRecord) -> None:
        (letter,) = (await there.letters.page(TENANT, Wanted(document_id="torn"), limit=5)).items
        await there.letters.replay(TENANT, letter.id)

        async def failed_again() -> bool:
            record = await there.record("torn")
            return record.latest.version == 2 and record.latest.state is GenerationState.FAILED

        await until(failed_again, timeout_s=60)
        latest = (await there.record("torn")).latest
        assert latest.failure is not None
        assert latest.failure.code == ErrorCode.CORRUPT
        assert latest.generation != torn.latest.generation

    async def test_no_record_says_ready_of_what_no_search_finds(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.")
        with pytest.raises(RestoreStalledError, match="0 of 1 documents"):
            await restored(there, folder, stall_s=0.1)
        record = await there.record("d0")
        assert (record.state, record.searchable_generation) == (DocumentState.SUBMITTED, None)

    async def test_rows_that_an_index_still_holds_are_never_taken_for_the_new_ones(self, tmp_path: Path) -> None:
        folder = tmp_path / "backup"
        async with site(tmp_path / "here") as here:
            async with here.working():
                generation = await here.submit("d", b"The zebra sleeps.")
                await here.ends("d", READY)
            await back_up(here.broker, folder)
            (here.folder / "index").rename(tmp_path / "old-index")
        async with site(tmp_path / "there") as there:
            (tmp_path / "old-index").rename(there.folder / "index")
            async with there.working():
                await restored(there, folder)
            assert (await there.record("d")).visible_generation != generation
            assert await there.found("zebra") == ["The zebra sleeps."]

    async def test_a_second_backup_of_what_was_restored_restores_as_well(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.")
        async with there.working():
            await restored(there, folder)
        await back_up(there.broker, tmp_path / "second")
        async with site(tmp_path / "third") as third, third.working():
            await restored(third, tmp_path / "second")
            assert await third.found("zebra") == ["The zebra sleeps."]


class TestWhileTheSystemWorks:
    async def test_every_document_accepted_before_is_there_with_its_content(self, tmp_path: Path, there: Site) -> None:
        """Others are submitted, replaced and deleted all the while; none is in the backup without its content."""
        folder, accepted, going = tmp_path / "backup", dict[str, bytes](), True
        rounds = dict.fromkeys(range(4), 0)

        async def keep_busy(here: Site, worker: int) -> None:
            number, chosen = 0, random.Random(worker)
            while going:
                document_id = f"busy-{worker}-{number % 7}"
                content = f"Round {number} of {document_id}. ".encode() * chosen.randrange(1, 9000)
                await here.submit(document_id, content)
                if chosen.random() < 0.3:
                    await here.submissions.delete(TENANT, document_id)
                number, rounds[worker] = number + 1, number + 1

        async with site(tmp_path / "here") as here, here.working():
            for number in range(30):
                accepted[f"steady-{number}"] = f"The steady document {number}. ".encode() * 6000
                await here.submit(f"steady-{number}", accepted[f"steady-{number}"])
            async with asyncio.TaskGroup() as tasks:
                for worker in rounds:
                    tasks.create_task(keep_busy(here, worker))
                await until(lambda: min(rounds.values()) > 7, timeout_s=60)
                begun_at = dict(rounds)
                manifest = await back_up(here.broker, folder)
                going = False

        assert all(rounds[worker] > begun_at[worker] for worker in rounds)
        assert manifest.counts.uploads_missing == 0
        documents = [json.loads(line) for line in (folder / "documents.jsonl").read_text("utf-8").splitlines()]
        ids = [document["record"]["document_id"] for document in documents]
        assert len(ids) == len(set(ids))
        assert accepted.keys() <= set(ids)
        assert any(document_id.startswith("busy") for document_id in ids)
        contents = archived(folder)
        for document in documents:
            record = document["record"]
            for generation in {record["visible_generation"], record["pending_generation"]} - {None}:
                content = contents[f"{TENANT}/{record['document_id']}/{generation}/content"]
                entered = next(g for g in record["generations"] if g["generation"] == generation)
                assert hashlib.sha256(content).hexdigest() == entered["sha256"]

    async def test_what_is_replaced_or_deleted_under_way_is_taken_as_it_has_become(
        self, tmp_path: Path, there: Site
    ) -> None:
        for document_id in ("kept", "replaced", "deleted"):
            await there.submit(document_id, b"The first version.")
        snapshot = await read_ledger(there.broker)
        newer = await there.submit("replaced", b"The second version.")
        await there.submissions.delete(TENANT, "deleted")
        with BackupFolder.opened(tmp_path / "backup", overwrite=False) as folder:
            documents = Documents(there.broker, UploadArchive(folder.create("uploads.tar")))
            copied = [await documents.copy(entry) for entry in snapshot]
        snapshot.close()

        taken = {document.record.document_id: document for document in copied if document is not None}
        assert taken["kept"].record.latest.version == 1
        assert taken["replaced"].record.latest.generation == newer
        assert [upload.generation for upload in taken["replaced"].uploads] == [newer]
        assert (taken["deleted"].record.deleted, taken["deleted"].uploads) == (True, ())

    async def test_what_is_replaced_while_it_is_read_is_read_again(self, tmp_path: Path, there: Site) -> None:
        generation = await there.submit("d", b"a" * 1_000_000)

        class ReplacedOnce(Uploads):
            replaced = False

            async def read(self, *names):
                if not self.replaced:
                    self.replaced = True
                    await there.uploads.put(TENANT, "d", generation, "content", pieces(b"bee"), max_bytes=3)
                async for piece in super().read(*names):
                    yield piece

        (entry,) = await read_ledger(there.broker)
        with BackupFolder.opened(tmp_path / "backup", overwrite=False) as folder:
            archive = UploadArchive(file := folder.create("uploads.tar"))
            document = await Documents(there.broker, archive, ReplacedOnce(there.broker)).copy(entry)
            file.finish()
            assert document is not None
            (upload,) = document.uploads
            written = (tmp_path / "backup" / "partial" / "uploads.tar").read_bytes()
        assert (upload.generation, upload.size_bytes) == (generation, 3)
        assert written[upload.offset :].rstrip(b"\0") == b"bee"

    async def test_content_that_was_lost_before_is_told(self, tmp_path: Path, there: Site) -> None:
        generation = await there.submit("d", b"Text.")
        await there.uploads.delete(TENANT, "d", generation)
        manifest = await back_up(there.broker, tmp_path / "backup")
        assert (manifest.counts.documents, manifest.counts.uploads_missing) == (1, 1)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


def archived(folder: Path) -> dict[str, bytes]:
    """What any other program sees in the archive of uploads."""
    with tarfile.open(folder / "uploads.tar") as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]

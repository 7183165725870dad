"""A restore that is run again: after it was cut off anywhere, after it has finished, after people have gone on."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts import topology
from contracts.documents import DocumentState
from messaging.backup import RestoreStalledError, back_up
from messaging.backup.reading import StoredBackup
from messaging.backup.restore import _Restoring
from messaging.backup.snapshot import read_ledger
from messaging.buckets import Bucket
from messaging.ledger import record_of
from tests.broker.backups import backed_up, restored
from tests.support.sites import TENANT, Site, site

READY, FAILED = DocumentState.READY, DocumentState.FAILED
TORN = b"%PDF-1.7\nnothing of the kind"


class TestRestoringAgain:
    @pytest.mark.parametrize("step", ["_put_uploads", "_enter", "_ask"])
    async def test_a_restore_that_was_cut_off_goes_on(
        self, tmp_path: Path, there: Site, step: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = [f"The animal-{number} sleeps." for number in range(8)]
        folder = await backed_up(tmp_path, *texts)
        with monkeypatch.context() as patched:
            cut_off_at(3, step, patched)
            with pytest.raises(CutOffError):
                await restored(there, folder)
        begun = await pending(there)
        assert len(begun) in {2, 3}
        async with there.working():
            result = await restored(there, folder)
            for number, text in enumerate(texts):
                assert await there.found(f"animal-{number}") == [text]
        assert result.outcome is not None
        assert (result.outcome.searchable, result.outcome.failures) == (8, 0)
        for document_id, generation in begun.items():
            assert (await there.record(document_id)).visible_generation == generation

    async def test_no_revision_of_a_setting_is_restored_twice(
        self, tmp_path: Path, there: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with site(tmp_path / "here") as here:
            config, revision = Bucket(here.broker, topology.CONFIG), 0
            for value in (b"one", b"two", b"three"):
                revision = await config.write("colour", value, revision=revision)
            kv = await here.broker.js.key_value("config")
            await kv.delete("colour")
            await back_up(here.broker, tmp_path / "backup")
        with monkeypatch.context() as patched:
            cut_off_at(3, "_publish", patched)
            with pytest.raises(CutOffError):
                await restored(there, tmp_path / "backup")
        await restored(there, tmp_path / "backup")
        history = await there.storage.following("KV_config", "$KV.config.colour")
        assert [stored.data for stored in history] == [b"one", b"two", b"three", b""]
        entry = await Bucket(there.broker, topology.CONFIG).get("colour")
        assert entry is not None
        assert entry.value is None

    async def test_a_version_that_was_held_back_survives_an_interruption(self, tmp_path: Path, there: Site) -> None:
        folder = tmp_path / "backup"
        async with site(tmp_path / "here") as here:
            async with here.working():
                await here.submit("d", b"The otter swims.")
                await here.ends("d", READY)
            await here.submit("d", TORN, name="torn.pdf")
            await back_up(here.broker, folder)
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        async with there.working():
            await there.ends("d", READY)
            await restored(there, folder)
            await there.ends("d", FAILED)
            assert await there.found("otter") == ["The otter swims."]
        assert [g.version for g in (await there.record("d")).generations] == [1, 2]

    async def test_what_is_submitted_while_a_held_back_version_is_handed_in_wins(
        self, tmp_path: Path, there: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "backup"
        async with site(tmp_path / "here") as here:
            async with here.working():
                await here.submit("d", b"The otter swims.")
                await here.ends("d", READY)
            await here.submit("d", b"The otter dives.")
            await back_up(here.broker, folder)
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        original = StoredBackup.upload

        async def overtaken(*arguments: Any) -> AsyncIterator[bytes]:
            await there.submit("d", b"The otter sleeps.")
            async for piece in original(*arguments):
                yield piece

        async with there.working():
            await there.ends("d", READY)
            monkeypatch.setattr(StoredBackup, "upload", overtaken)
            await restored(there, folder)
            await there.ends("d", READY)
            assert await there.found("otter") == ["The otter sleeps."]

    async def test_a_finished_one_changes_nothing(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.")
        async with there.working():
            await restored(there, folder)
            await there.submissions.delete(TENANT, "d0")
            result = await restored(there, folder)
        assert result.outcome is None
        assert (await there.record("d0")).deleted

    async def test_a_record_that_was_removed_by_hand_is_restored(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.")
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        ledger = await there.broker.js.key_value("documents")
        await ledger.delete(f"{TENANT}.d0")
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        async with there.working():
            await restored(there, folder)
            assert await there.found("zebra") == ["The zebra sleeps."]

    async def test_what_was_submitted_meanwhile_wins(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.")
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        await there.submit("d0", b"The zebra wakes.")
        async with there.working():
            await restored(there, folder)
            assert await there.found("zebra") == ["The zebra wakes."]


class CutOffError(Exception):
    """Stands for the end of the process."""


def cut_off_at(number: int, step: str, patched: pytest.MonkeyPatch) -> None:
    """The `number`th time, the restore ends before `step`."""
    original, calls = getattr(_Restoring, step), itertools.count(1)

    async def cut_off(self, *arguments, **named):
        if next(calls) == number:
            raise CutOffError
        return await original(self, *arguments, **named)

    patched.setattr(_Restoring, step, cut_off)


async def pending(there: Site) -> dict[str, str | None]:
    """The generations that were asked for, by document."""
    records = [record_of(entry) for entry in await read_ledger(there.broker)]
    return {record.document_id: record.pending_generation for record in records if record is not None}

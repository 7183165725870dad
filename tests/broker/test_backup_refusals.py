"""What a restore refuses before it writes anything, and where a backup is not written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from messaging.backup import Manifest, RestoreStalledError, Step, back_up
from messaging.backup.errors import (
    BackupError,
    BackupExistsError,
    BackupInUseError,
    DamagedBackupError,
    NewerBackupError,
    SystemNotEmptyError,
    UnfinishedBackupError,
)
from messaging.backup.writing import BackupFolder
from tests.broker.backups import backed_up, restored
from tests.support.sites import TENANT, Site


class TestRefusals:
    async def test_a_system_that_is_not_empty(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        await there.submit("mine", b"Mine.")
        with pytest.raises(SystemNotEmptyError, match="holds 1 documents"):
            await restored(there, folder)
        assert await there.ledger.get(TENANT, "d0") is None

    async def test_another_backup_than_the_one_restored(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        await back_up(there.broker, tmp_path / "second")
        with pytest.raises(SystemNotEmptyError, match="another backup"):
            await restored(there, tmp_path / "second")

    @pytest.mark.parametrize("name", ["documents.jsonl", "uploads.tar", "config.jsonl"])
    async def test_a_damaged_file(self, tmp_path: Path, there: Site, name: str) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        file = folder / name
        file.write_bytes(file.read_bytes()[:-1] + b"x" if file.stat().st_size else b"x")
        with pytest.raises(DamagedBackupError, match=name):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_a_truncated_and_a_missing_file(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        whole = (folder / "uploads.tar").read_bytes()
        (folder / "uploads.tar").write_bytes(whole[:-512])
        with pytest.raises(DamagedBackupError, match=f"{len(whole) - 512} of {len(whole)} bytes"):
            await restored(there, folder)
        (folder / "uploads.tar").unlink()
        with pytest.raises(DamagedBackupError, match="is missing"):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_file_names_that_lead_elsewhere(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        manifest["files"]["../../secret"] = manifest["files"].pop("config.jsonl")
        (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
        with pytest.raises(DamagedBackupError, match=r"\.\./\.\./secret"):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_a_newer_format(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        newer = {**manifest, "format": 2, "release": "9.0", "shape": "unheard of"}
        (folder / "manifest.json").write_text(json.dumps(newer), "utf-8")
        with pytest.raises(NewerBackupError, match=r"format 2, written by release 9\.0"):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_a_backup_that_was_cut_off(self, tmp_path: Path, there: Site) -> None:
        await there.submit("d", b"Text.")
        with pytest.raises(CutOffError):
            await back_up(there.broker, tmp_path / "backup", advance=fail)
        with pytest.raises(UnfinishedBackupError, match="no finished backup"):
            await restored(there, tmp_path / "backup")
        with pytest.raises(UnfinishedBackupError, match="there is no folder"):
            await restored(there, tmp_path / "nowhere")

    async def test_a_backup_whose_process_was_killed(self, tmp_path: Path, there: Site) -> None:
        leftover = tmp_path / "backup" / "partial" / "documents.jsonl"
        leftover.parent.mkdir(parents=True)
        leftover.write_text("{", "utf-8")
        with pytest.raises(UnfinishedBackupError, match="no finished backup"):
            await restored(there, tmp_path / "backup")
        await back_up(there.broker, tmp_path / "backup")
        assert not leftover.parent.exists()


class TestTheFolder:
    async def test_a_backup_is_replaced_only_when_told_and_only_by_a_whole_one(
        self, there: Site, tmp_path: Path
    ) -> None:
        folder = tmp_path / "backup"
        first = await back_up(there.broker, folder)
        await there.submit("d", b"Text.")
        with pytest.raises(BackupExistsError, match="--overwrite"):
            await back_up(there.broker, folder)
        with pytest.raises(CutOffError):
            await back_up(there.broker, folder, overwrite=True, advance=fail)
        assert manifest_of(folder) == first
        second = await back_up(there.broker, folder, overwrite=True)
        assert manifest_of(folder) == second
        assert second.counts.documents == 1

    async def test_a_folder_with_other_files_is_left_alone(self, there: Site, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("mine", "utf-8")
        with pytest.raises(BackupExistsError, match=r"mine\.txt|here|there"):
            await back_up(there.broker, tmp_path, overwrite=True)
        assert (tmp_path / "mine.txt").read_text("utf-8") == "mine"

    async def test_a_folder_that_cannot_be_written_to_is_told(self, there: Site, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine", "utf-8")
        with pytest.raises(BackupError, match="file cannot be written to"):
            await back_up(there.broker, tmp_path / "file")

    async def test_two_do_not_write_to_one_folder(self, there: Site, tmp_path: Path) -> None:
        folder = tmp_path / "backup"
        with (
            BackupFolder.opened(folder, overwrite=False),
            pytest.raises(BackupInUseError, match="another process"),
        ):
            await back_up(there.broker, folder)

    async def test_only_its_owner_may_read_it(self, there: Site, tmp_path: Path) -> None:
        await back_up(there.broker, tmp_path / "backup")
        assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o700
        files = list((tmp_path / "backup").iterdir())
        assert len(files) == 8
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def manifest_of(folder: Path) -> Manifest:
    return Manifest.model_validate_json((folder / "manifest.json").read_bytes())


class CutOffError(Exception):
    """Stands for the end of the process."""


def fail(_: Step) -> None:
    raise CutOffError


async def is_empty(there: Site) -> bool:
    counts = [await there.storage.count(stream, ">") for stream in ("KV_documents", "OBJ_uploads", "KV_config", "DLQ")]
    return counts == [0, 0, 0, 0]

"""Backups that somebody has tampered with, or that two processes want at once: refused before anything is written."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from messaging.backup import back_up
from messaging.backup.errors import BackupError, BackupInUseError, DamagedBackupError, RestoreStalledError
from tests.broker.backups import backed_up, restored
from tests.broker.test_backup_refusals import is_empty
from tests.support.sites import Site
from tests.support.waiting import until

Change = Callable[[dict[str, Any]], object]


def signed(folder: Path, name: str, content: bytes) -> None:
    """Put other content into a backup, and make its manifest agree."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def setting(key: str, **headers: str) -> bytes:
    return json.dumps({"key": key, "headers": headers, "data": b64encode(b"1").decode()}).encode() + b"\n"


class TestTamperedContent:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("documents.jsonl", b"\xff\xfe\n"),
            ("dead-letters.jsonl", setting("fine") + b"{\n"),
            ("config.jsonl", setting("two words")),
            ("config.jsonl", setting("a\r\nPUB b 0")),
            ("config.jsonl", setting(">")),
            ("config.jsonl", setting("a..b")),
            ("config.jsonl", setting("restored-backup")),
            ("config.jsonl", setting("a", **{"Nats-Rollup": "all"})),
            ("config.jsonl", setting("a", x="1\r\nNats-Rollup: all")),
        ],
    )
    async def test_a_line_that_is_none(self, tmp_path: Path, there: Site, name: str, content: bytes) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        signed(folder, name, content)
        with pytest.raises(DamagedBackupError, match=f"line . of .*{name}"):
            await restored(there, folder)
        assert await is_empty(there)

    @pytest.mark.parametrize("place", [{"offset": 10**30}, {"offset": 10**7}, {"size_bytes": 10**15}])
    async def test_an_upload_outside_of_the_archive(self, tmp_path: Path, there: Site, place: dict[str, int]) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        document = json.loads((folder / "documents.jsonl").read_bytes())
        document["uploads"][0] |= place
        signed(folder, "documents.jsonl", json.dumps(document).encode() + b"\n")
        with pytest.raises(DamagedBackupError, match=r"line 1 of .*outside of uploads\.tar"):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_a_line_that_is_there_twice_is_restored_once(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        signed(folder, "documents.jsonl", 2 * (folder / "documents.jsonl").read_bytes())
        with pytest.raises(RestoreStalledError):
            await restored(there, folder, stall_s=0.1)
        assert await there.storage.count("KV_documents", ">") == 1
        assert await there.storage.count("OBJ_uploads", "$O.uploads.M.>") == 1


class TestOddFiles:
    @pytest.mark.parametrize("name", ["manifest.json", "uploads.tar"])
    @pytest.mark.parametrize("odd", ["/dev/zero", "pipe"])
    async def test_what_never_ends_is_not_read(self, tmp_path: Path, there: Site, name: str, odd: str) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        (folder / name).unlink()
        if odd == "pipe":
            os.mkfifo(folder / name)
        else:
            (folder / name).symlink_to(odd)
        with pytest.raises(DamagedBackupError, match=f"{name} is no file"):
            await restored(there, folder)
        assert await is_empty(there)

    async def test_a_manifest_nested_without_end(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        (folder / "manifest.json").write_bytes(b"[" * 500_000)
        with pytest.raises(DamagedBackupError, match=r"manifest\.json is no JSON"):
            await restored(there, folder)

    async def test_a_folder_that_is_a_file(self, tmp_path: Path, there: Site) -> None:
        (tmp_path / "file").write_text("mine", "utf-8")
        with pytest.raises(BackupError, match="file cannot be read"):
            await restored(there, tmp_path / "file")


class TestTwoAtOnce:
    async def test_two_restores_of_one_folder(self, tmp_path: Path, there: Site) -> None:
        folder = await backed_up(tmp_path, "The zebra sleeps.", ready=False)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(stalled(there, folder, 3.0))
            await until(lambda: holds_something(there))
            with pytest.raises(BackupInUseError, match="another process"):
                await restored(there, folder)
            with pytest.raises(BackupInUseError, match="another process"):
                await back_up(there.broker, folder, overwrite=True)
        assert first.done()


async def holds_something(there: Site) -> bool:
    return not await is_empty(there)


async def stalled(there: Site, folder: Path, stall_s: float) -> None:
    with pytest.raises(RestoreStalledError):
        await restored(there, folder, stall_s=stall_s)


class TestAFullDisk:
    @pytest.mark.parametrize("limit_bytes", [500, 400_000])
    async def test_what_was_written_is_removed(self, there: Site, tmp_path: Path, limit_bytes: int) -> None:
        await there.submit("d", os.urandom(300_000).hex().encode())
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
        try:
            with pytest.raises(BackupError, match="make room"):
                await back_up(there.broker, tmp_path / "backup")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list((tmp_path / "backup").iterdir()) == []

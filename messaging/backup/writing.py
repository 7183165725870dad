"""Writing a backup: private files in a folder of their own, which become the backup all at once."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from contracts.message import Value
from messaging.backup.errors import BackupExistsError
from messaging.backup.format import FILES, MANIFEST, FileEntry, Manifest
from messaging.backup.lock import locked

PARTIAL = "partial"
"""The folder within the backup's folder that a backup under way is written to; one that is left over was cut off."""

_PRIVATE_FOLDER = 0o700
_PRIVATE_FILE = 0o600


class PrivateFile:
    """A new file that only its owner may read, hashed while it is written."""

    def __init__(self, path: Path) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        self._file = os.fdopen(os.open(path, flags, _PRIVATE_FILE), "wb")
        self._sha = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._sha.update(data)
        self.size_bytes += len(data)

    def add_line(self, value: Value) -> None:
        """One JSON document on a line of its own."""
        self.write(value.model_dump_json().encode() + b"\n")

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What the body has written is taken back when it fails."""
        size, sha = self.size_bytes, self._sha.copy()
        try:
            yield
        except BaseException:
            self._file.seek(size)
            self._file.truncate()
            self.size_bytes, self._sha = size, sha
            raise

    def finish(self) -> FileEntry:
        """Put it on the disk and close it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return FileEntry(size_bytes=self.size_bytes, sha256=self._sha.hexdigest())

    def close(self) -> None:
        self._file.close()


class UploadArchive:
    """A tar archive that is written member by member, each from a stream of bytes."""

    def __init__(self, file: PrivateFile) -> None:
        self._file = file

    async def add(self, name: str, size_bytes: int, pieces: AsyncIterator[bytes]) -> int:
        """Append a member and return where its bytes begin. When `pieces` fails, nothing of it stays."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size_bytes, _PRIVATE_FILE
        with self._file.all_or_nothing():
            self._file.write(info.tobuf(tarfile.PAX_FORMAT))
            offset = self._file.size_bytes
            async for piece in pieces:
                await asyncio.to_thread(self._file.write, piece)
            self._file.write(bytes(-size_bytes % tarfile.BLOCKSIZE))
        return offset

    def end(self) -> None:
        """Write what marks the end of an archive."""
        self._file.write(bytes(2 * tarfile.BLOCKSIZE))


class BackupFolder:
    """A folder that a backup is written to; see `opened`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path / PARTIAL
        self._files: dict[str, PrivateFile] = {}

    @classmethod
    @contextmanager
    def opened(cls, path: Path, *, overwrite: bool) -> Iterator[BackupFolder]:
        """The folder, created if need be, for one backup at a time.

        Raises `BackupExistsError` when it holds a backup and is not to be overwritten, when it holds anything else, and
        when another process writes a backup to it. A backup that is overwritten stays whole until `finish`.
        """
        path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        with locked(path):
            _require_free(path, overwrite=overwrite)
            folder = cls(path)
            shutil.rmtree(folder._partial, ignore_errors=True)
            folder._partial.mkdir(mode=_PRIVATE_FOLDER)
            try:
                yield folder
            finally:
                folder._discard()

    def _discard(self) -> None:
        """What lies in the partial folder goes, also where a full disk does not let its files be closed in order."""
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._partial, ignore_errors=True)
            for file in self._files.values():
                stack.callback(file.close)

    def create(self, name: str) -> PrivateFile:
        """A file of the backup; `name` is one of `FILES`."""
        self._files[name] = file = PrivateFile(self._partial / name)
        return file

    def finish_files(self) -> dict[str, FileEntry]:
        """Close all files; they are on the disk then."""
        return {name: file.finish() for name, file in sorted(self._files.items())}

    def finish(self, manifest: Manifest) -> None:
        """Make what was written the backup of this folder, in place of the one before."""
        written = PrivateFile(self._partial / MANIFEST)
        written.write(manifest.model_dump_json(indent=2).encode() + b"\n")
        written.finish()
        (self._path / MANIFEST).unlink(missing_ok=True)
        _sync(self._path)  # from here on there is no backup, whatever happens, until its new manifest is there
        for name in manifest.files:
            (self._partial / name).replace(self._path / name)
        _sync(self._path)
        (self._partial / MANIFEST).replace(self._path / MANIFEST)
        _sync(self._path)


def _require_free(path: Path, *, overwrite: bool) -> None:
    found = {each.name for each in path.iterdir()} - {PARTIAL}
    if MANIFEST in found and not overwrite:
        raise BackupExistsError(f"{path} holds a backup already: name another folder, or say --overwrite")
    foreign = sorted(found - FILES - {MANIFEST})
    if foreign:
        raise BackupExistsError(f"{path} holds other files ({foreign[0]}): name a folder of its own for the backup")


def _sync(path: Path) -> None:
    """Put the names in a folder on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

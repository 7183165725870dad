"""Reading a backup: all of it is checked before anything of it is used."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import ValidationError

from contracts.message import Value
from messaging.backup.errors import BackupError, DamagedBackupError, NewerBackupError, UnfinishedBackupError
from messaging.backup.format import (
    DOCUMENTS,
    FILES,
    FORMAT,
    MANIFEST,
    UPLOADS,
    BackedDocument,
    BackedMessage,
    BackedUpload,
    FileEntry,
    Manifest,
)
from messaging.backup.lock import locked
from messaging.backup.progress import Advance, Step
from messaging.backup.soundness import is_sound

PIECE_BYTES = 1024 * 1024
MAX_MANIFEST_BYTES = 1024 * 1024
BREATH_LINES = 256

Line = TypeVar("Line", bound=Value)


class StoredBackup:
    """A backup whose files are those that were written; see `checked`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path = path
        self.manifest = manifest

    @classmethod
    async def checked(cls, path: Path, advance: Advance) -> StoredBackup:
        """Open a backup and compare every file with the manifest.

        Raises `UnfinishedBackupError`, `NewerBackupError` or `DamagedBackupError`.
        """
        manifest = _manifest(path)
        seen = 0
        for name, entry in manifest.files.items():
            async for size in _compared(path / name, entry):
                seen += size
                advance(Step(what="checking the backup, bytes", done=seen, total=manifest.size_bytes))
        backup = cls(path, manifest)
        await backup._check_lines()
        return backup

    async def _check_lines(self) -> None:
        """Hashes tell damage; only reading every line tells what a restore could not do, or must not."""
        archive_bytes = self.manifest.files[UPLOADS].size_bytes
        for number, document in enumerate(self.documents(), 1):
            if any(upload.offset + upload.size_bytes > archive_bytes for upload in document.uploads):
                raise self._bad_line(DOCUMENTS, number, f"names an upload outside of {UPLOADS}")
            await _breathe(number)
        for name in sorted(FILES - {DOCUMENTS, UPLOADS}):
            for number, message in enumerate(self.messages(name), 1):
                if not is_sound(message):
                    raise self._bad_line(name, number, "has a key or header that no backup has")
                await _breathe(number)

    def _bad_line(self, name: str, number: int, what: str) -> DamagedBackupError:
        return DamagedBackupError(f"line {number} of {self._path / name} {what}: {_DAMAGED}")

    def documents(self) -> Iterator[BackedDocument]:
        return self._lines(DOCUMENTS, BackedDocument)

    def messages(self, name: str) -> Iterator[BackedMessage]:
        return self._lines(name, BackedMessage)

    async def upload(self, upload: BackedUpload) -> AsyncIterator[bytes]:
        """The bytes of an upload, at most `PIECE_BYTES` at a time. Raises `DamagedBackupError` when they end early."""
        left = upload.size_bytes
        with _opened(self._path / UPLOADS) as archive:
            archive.seek(upload.offset)
            while left:
                piece = await asyncio.to_thread(archive.read, min(left, PIECE_BYTES))
                if not piece:
                    raise DamagedBackupError(f"{archive.name} ends within an upload: {_DAMAGED}")
                left -= len(piece)
                yield piece

    def _lines(self, name: str, kind: type[Line]) -> Iterator[Line]:
        with _opened(self._path / name) as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield kind.model_validate_json(line)
                except ValidationError as error:
                    what = f"cannot be read by this release ({error.error_count()} errors)"
                    raise self._bad_line(name, number, what) from error


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Keep the folder of a backup for oneself while it is read.

    Raises `UnfinishedBackupError` when there is no such folder, `BackupInUseError` when another process has it.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path))
        except FileNotFoundError:
            raise UnfinishedBackupError(_unfinished(path)) from None
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}") from error
        yield


async def _breathe(number: int) -> None:
    """Let others run now and then."""
    if number % BREATH_LINES == 0:
        await asyncio.sleep(0)


_DAMAGED = "use another copy of this backup, or another backup"


def _manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not file.exists():
        raise UnfinishedBackupError(_unfinished(path))
    with _opened(file) as content:
        text = content.read(MAX_MANIFEST_BYTES)
    _require_known_format(file, text)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise DamagedBackupError(f"{file} is no manifest ({error.error_count()} errors): {_DAMAGED}") from error
    if manifest.files.keys() != FILES:
        odd = sorted(manifest.files.keys() ^ FILES)
        raise DamagedBackupError(f"{file} does not name the files of a backup ({odd[0]!r}): {_DAMAGED}")
    return manifest


def _unfinished(path: Path) -> str:
    if not path.is_dir():
        return f"there is no folder {path}"
    return f"{path} holds no finished backup (there is no {MANIFEST}): `waggle backup {path}` makes one"


def _require_known_format(file: Path, text: bytes) -> None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedBackupError(f"{file} is no JSON: {_DAMAGED}") from error
    version = body.get("format") if isinstance(body, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise NewerBackupError(
            f"{file.parent} has backup format {version}, written by release {body.get('release')}; this release knows "
            f"formats up to {FORMAT}: restore it with that release or a newer one"
        )


def _opened(file: Path) -> BinaryIO:
    try:
        if not file.is_file() and file.exists():
            raise DamagedBackupError(f"{file} is no file: {_DAMAGED}")
        return file.open("rb")
    except FileNotFoundError:
        raise DamagedBackupError(f"{file} is missing: {_DAMAGED}") from None
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror}") from error


async def _compared(file: Path, entry: FileEntry) -> AsyncIterator[int]:
    """Tells the sizes of the pieces as they are read."""
    sha, size = hashlib.sha256(), 0
    with _opened(file) as content:
        while piece := await asyncio.to_thread(content.read, PIECE_BYTES):
            await asyncio.to_thread(sha.update, piece)
            size += len(piece)
            yield len(piece)
    if size != entry.size_bytes:
        raise DamagedBackupError(f"{file} has {size} of {entry.size_bytes} bytes: {_DAMAGED}")
    if sha.hexdigest() != entry.sha256:
        raise DamagedBackupError(f"{file} is not what was written, its SHA-256 differs: {_DAMAGED}")

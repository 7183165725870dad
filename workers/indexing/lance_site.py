"""The folder of the embedded index: its tables, and for each encoder a file that names the current one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import lancedb

from contracts.errors import TransientError
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.lance import TABLE, LanceIndex
from workers.indexing.lance_errors import on_disk
from workers.indexing.pointer import Pointer, fresh_name, is_named_after

POINTERS = "current"
"""The folder of the pointers; tables are folders whose names end in `.lance`."""


class LanceSite:
    """A `Site` in a folder. A pointer is replaced by renaming a file over it, and reading one takes microseconds."""

    default = TABLE

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pointers = path / POINTERS

    @property
    def where(self) -> str:
        return str(self._path)

    @property
    def pointers_in(self) -> str:
        return f"the folder {self._pointers}"

    async def open(self) -> None:
        with on_disk(self._path):
            await asyncio.to_thread(self._pointers.mkdir, parents=True, exist_ok=True)

    async def pointer(self, key: str) -> Pointer:
        return self._read(self._file(key))

    async def pointers(self) -> dict[str, Pointer]:
        files = await asyncio.to_thread(lambda: sorted(self._pointers.glob("*.json")))
        return {file.stem: self._read(file) for file in files}

    async def point(self, key: str, pointer: Pointer) -> None:
        with on_disk(self._path):
            await asyncio.to_thread(self._write, self._file(key), pointer.to_json())

    async def names(self) -> list[str]:
        folders = await asyncio.to_thread(lambda: sorted(self._path.glob("*.lance")))
        return [folder.stem for folder in folders if is_named_after(folder.stem, TABLE)]

    async def recorded(self, name: str) -> Mapping[str, str] | None:
        if not await asyncio.to_thread((self._path / f"{name}.lance").exists):
            return None
        try:
            with await self._connect() as connection, await connection.open_table(name) as table:
                metadata = (await table.schema()).metadata or {}
        except (RuntimeError, OSError, ValueError) as error:
            raise TransientError(f"the index in {self._path} cannot be read: {error}") from error
        return {key.decode(): value.decode() for key, value in metadata.items()}

    def index(self, name: str, identity: EncoderIdentity, *, any_format: bool = False) -> VectorIndex:
        return LanceIndex(self._path, identity, name=name, any_format=any_format)

    def fresh(self) -> str:
        return fresh_name(TABLE)

    async def drop(self, name: str) -> None:
        try:
            with await self._connect() as connection:
                if name in (await connection.list_tables()).tables:
                    await connection.drop_table(name)
        except (RuntimeError, OSError, ValueError) as error:
            raise TransientError(f"the table {name} in {self._path} cannot be removed: {error}") from error

    async def close(self) -> None:
        """It holds nothing."""

    async def _connect(self) -> lancedb.AsyncConnection:
        return await lancedb.connect_async(str(self._path), read_consistency_interval=timedelta(0))

    def _file(self, key: str) -> Path:
        return self._pointers / f"{key}.json"

    def _read(self, file: Path) -> Pointer:
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return Pointer()
        except OSError as error:
            raise TransientError(f"{file}, which names the current index, cannot be read: {error}") from error
        return Pointer.from_json(content)

    def _write(self, file: Path, text: str) -> None:
        """Whole or not at all, also when the power fails."""
        draft = file.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        draft.replace(file)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

"""What is submitted, under which id and name; and which files a path, a folder or a glob stands for."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cli.client import GatewayClient
from cli.replies import Uploaded

_GLOB = re.compile(r"[*?\[]")
_SLUG_CHARACTERS = 48
_NAME_CHARACTERS = 512


class Source(Protocol):
    """Something to submit. `name` is what people see; `document_id` is the same each time it is submitted."""

    @property
    def name(self) -> str: ...

    @property
    def document_id(self) -> str: ...

    async def send(self, client: GatewayClient, metadata: Mapping[str, str] | None) -> Uploaded:
        """Submit it. Raises what the client raises, and `OSError` when it cannot be read."""
        ...


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """A file. Its name is the path below the folder that was given, or just the file's name."""

    path: Path
    name: str

    @property
    def document_id(self) -> str:
        """The same for the same path on this host: submitting a changed file again makes a new version."""
        path = self.path.resolve()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", path.name).strip("-")[:_SLUG_CHARACTERS].rstrip("-")
        digest = hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:16]
        return f"{slug or 'document'}-{digest}"

    async def send(self, client: GatewayClient, metadata: Mapping[str, str] | None) -> Uploaded:
        return await client.upload(self.path, name=self.name, document_id=self.document_id, metadata=metadata)


def find(patterns: Iterable[str], *, exclude: Iterable[str] = ()) -> list[FileSource]:
    """The files that paths, folders and globs stand for, each once, in order.

    Hidden files and folders within a folder are left out, and so is what matches `exclude` (by name or by path).
    Raises `FileNotFoundError` for a path or glob that stands for nothing.
    """
    excluded = tuple(exclude)
    found: dict[Path, FileSource] = {}
    for pattern in patterns:
        sources = list(_expand(pattern))
        if not sources:
            raise FileNotFoundError(f"{pattern}: {_why_nothing(pattern)}")
        for source in sources:
            if not _matches(source, excluded):
                found.setdefault(source.path.resolve(), source)
    return list(found.values())


def _why_nothing(pattern: str) -> str:
    path = Path(pattern)
    if path.is_dir():
        return "the folder holds no file (hidden ones are left out)"
    if path.exists():
        return "this is no file that could be read to its end"
    if "://" in pattern:
        return "only addresses that begin with http:// or https:// are fetched: download it, and give the file"
    return "there is no such file or folder"


def _expand(pattern: str) -> Iterator[FileSource]:
    path = Path(pattern)
    if path.is_dir():
        yield from _folder(path)
    elif path.is_file():
        yield FileSource(path=path, name=_name(path.name))
    elif _GLOB.search(pattern):
        for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207  (absolute patterns too)
            if Path(match).is_file():
                yield FileSource(path=Path(match), name=_name(Path(match).name))


def _folder(folder: Path) -> Iterator[FileSource]:
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            yield FileSource(path=path, name=_name(below.as_posix()))


def _matches(source: FileSource, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(each, p) for p in patterns for each in (source.name, source.path.name))


def _name(text: str) -> str:
    """Without control characters and undecodable bytes, at most 512 characters, the end kept."""
    readable = text.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(c if c.isprintable() else "�" for c in readable)[-_NAME_CHARACTERS:]

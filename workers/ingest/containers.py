"""ZIP containers: which kind of document is inside, and whether it is safe to unpack."""

from __future__ import annotations

import io
import zipfile

from contracts.errors import DocumentError, ErrorCode
from workers.ingest.media_types import SUPPORTED, MediaType

MiB = 1024 * 1024
MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 512 * MiB
# Deflate reaches 1000 : 1 only on what repeats itself; the densest real spreadsheets stay below 60 : 1.
MAX_RATIO = 200
_RATIO_MATTERS_BYTES = 16 * MiB

_OPEN_XML = {"word/": MediaType.DOCX, "ppt/": MediaType.PPTX, "xl/": MediaType.XLSX}
_MIMETYPES = {
    "application/epub+zip": "an EPUB book",
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (.odt)",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (.ods)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (.odp)",
}


def container_type(content: bytes) -> MediaType:
    """The kind of document in a ZIP container.

    Raises `DocumentError`: CORRUPT for a damaged container, TOO_LARGE for one that unpacks to too much, UNSUPPORTED_TYPE
    for a container of something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as container:
            check_unpacked_size(container)
            return _inside(container)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise DocumentError(
            ErrorCode.CORRUPT,
            "The file is a damaged ZIP container. Open it with its program, save it anew and upload that.",
        ) from error


def check_unpacked_size(container: zipfile.ZipFile) -> None:
    """Refuse what unpacks to too much. `zipfile` never reads more of a member than its directory declares."""
    members = container.infolist()
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    bomb = unpacked > _RATIO_MATTERS_BYTES and unpacked / packed > MAX_RATIO
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED_BYTES or bomb:
        raise DocumentError(
            ErrorCode.TOO_LARGE,
            f"The file unpacks to {len(members)} parts of {unpacked // MiB} MiB from {packed // 1024} KiB; the limits are "
            f"{MAX_MEMBERS} parts, {MAX_UNPACKED_BYTES // MiB} MiB and {MAX_RATIO} times its size. Split it or export it as text.",
        )


def _inside(container: zipfile.ZipFile) -> MediaType:
    names = container.namelist()
    if "[Content_Types].xml" in names:
        for folder, media_type in _OPEN_XML.items():
            if any(name.startswith(folder) for name in names):
                return media_type
    raise DocumentError(
        ErrorCode.UNSUPPORTED_TYPE,
        f"The file seems to be {_describe(container, names)}. {_advice(names)} Supported are {SUPPORTED}.",
    )


def _describe(container: zipfile.ZipFile, names: list[str]) -> str:
    if "mimetype" in names and container.getinfo("mimetype").file_size < 200:
        mimetype = container.read("mimetype").decode("ascii", errors="replace").strip()
        return _MIMETYPES.get(mimetype, f"a container of type {mimetype[:80]}")
    return f"a ZIP archive of {len(names)} files"


def _advice(names: list[str]) -> str:
    return "Export it as PDF or DOCX." if "mimetype" in names else "Unpack it and upload the documents in it."

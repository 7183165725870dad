"""Files that are made to harm: refused with their reason or ended, within memory and time, and nothing of this host gets into a text."""

from __future__ import annotations

import bz2
import gzip
import lzma
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from contracts.errors import DocumentError, ErrorCode
from tests.support.sources import SourceServer
from tests.unit.ingest import files, hostile
from tests.unit.ingest.hostile import MAIN_PARTS, MiB, Office
from tests.unit.ingest.test_sandbox import CUTTING, LIMITS, temporary
from workers.ingest import sandbox as sandboxes
from workers.ingest.jobs import Ended, Job
from workers.ingest.sandbox import Sandbox

OFFICE = pytest.mark.parametrize("kind", MAIN_PARTS, ids=lambda kind: kind.__name__)


@dataclass
class Reader:
    """Reads files and remembers what each cost."""

    sandbox: Sandbox
    costs: list[Ended] = field(default_factory=list)

    async def text(self, content: bytes) -> str:
        with temporary(content) as file:
            async with self.sandbox.extract(file, name="upload", cutting=CUTTING) as result:
                return b"".join(result.text()).decode()

    async def outcome(self, content: bytes) -> str | DocumentError:
        """The text or the refusal; either way within limits, and the process reads on."""
        try:
            found: str | DocumentError = await self.text(content)
        except DocumentError as error:
            found = error
        assert self.costs[-1].peak_bytes <= LIMITS.memory_bytes
        assert await self.text(b"The next.") == "The next."
        return found

    async def refusal(self, content: bytes) -> DocumentError:
        found = await self.outcome(content)
        assert isinstance(found, DocumentError), found
        return found


@pytest.fixture
async def reader(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    reader = Reader(Sandbox(tokenizer=None, limits=LIMITS))
    run: Any = sandboxes._Process.run

    async def measured(self: Any, job: Job, content: BinaryIO, target: BinaryIO) -> Ended:
        ended: Ended = await run(self, job, content, target)
        reader.costs.append(ended)
        return ended

    monkeypatch.setattr(sandboxes._Process, "run", measured)
    yield reader
    await reader.sandbox.close()


class TestXml:
    @OFFICE
    async def test_what_is_no_bomb_is_read(self, reader: Reader, kind: Office) -> None:
        """What the tests below could not tell otherwise: that their parts are read at all."""
        assert "plain text" in await reader.text(kind({MAIN_PARTS[kind]: hostile.text_part(kind, "plain text")}))

    @OFFICE
    @pytest.mark.parametrize(
        ("doctype", "text"), [(hostile.laughs(), "&a9;"), (hostile.quadratic(), "&a9;" * 20_000)], ids=["deep", "wide"]
    )
    async def test_entities_that_grow_are_not_expanded(
        self, reader: Reader, kind: Office, doctype: str, text: str
    ) -> None:
        part = hostile.text_part(kind, text, doctype=doctype)
        assert (await reader.refusal(kind({MAIN_PARTS[kind]: part}))).code is ErrorCode.CORRUPT

    @OFFICE
    @pytest.mark.parametrize("declare", [hostile.external, hostile.external_parameters])
    async def test_a_file_of_this_host_does_not_get_in(
        self, reader: Reader, kind: Office, declare: Callable[[str], str], tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text(hostile.SECRET)
        part = hostile.text_part(kind, "hey &a9;", doctype=declare(f"file://{secret}"))
        assert hostile.SECRET not in str(await reader.outcome(kind({MAIN_PARTS[kind]: part})))

    @OFFICE
    @pytest.mark.parametrize("declare", [hostile.external, hostile.external_parameters])
    async def test_no_server_is_asked(self, reader: Reader, kind: Office, declare: Callable[[str], str]) -> None:
        async with SourceServer.running() as server:
            part = hostile.text_part(kind, "hey &a9;", doctype=declare(server.put("/a")))
            await reader.outcome(kind({MAIN_PARTS[kind]: part}))
            assert server.connections == 0

    @pytest.mark.parametrize("declare", [hostile.external, hostile.external_parameters])
    async def test_a_page_takes_nothing_in_either(
        self, reader: Reader, declare: Callable[[str], str], tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text(hostile.SECRET)
        async with SourceServer.running() as server:
            page = declare(f"file://{secret}").replace("DOCTYPE x", "DOCTYPE html")
            page += f'<html><body><p>hey &a9;</p><iframe src="file://{secret}"></iframe><img src="{server.put("/a")}"></body></html>'
            text = await reader.outcome(page.encode())
            assert "hey" in str(text)
            assert hostile.SECRET not in str(text)
            assert server.connections == 0

    async def test_a_page_expands_nothing(self, reader: Reader) -> None:
        page = hostile.laughs().replace("DOCTYPE x", "DOCTYPE html") + "<html><body><p>hey &a9;</p></body></html>"
        text = await reader.outcome(page.encode())
        assert len(str(text)) < 10_000


class TestContainers:
    @OFFICE
    async def test_a_part_that_unpacks_to_far_more_is_too_large(self, reader: Reader, kind: Office) -> None:
        assert (await reader.refusal(kind({MAIN_PARTS[kind]: bytes(400 * MiB)}))).code is ErrorCode.TOO_LARGE

    async def test_a_directory_that_lies_of_sizes_gains_nothing(self, reader: Reader) -> None:
        error = await reader.refusal(hostile.lying_zip())
        assert error.code in (ErrorCode.PARSER_MEMORY, ErrorCode.CORRUPT)

    async def test_parts_that_overlap_are_counted_each(self, reader: Reader) -> None:
        assert (await reader.refusal(hostile.overlapping_zip())).code is ErrorCode.TOO_LARGE

    @OFFICE
    async def test_a_path_out_of_the_archive_is_written_nowhere(self, reader: Reader, kind: Office) -> None:
        name = uuid.uuid4().hex
        await reader.text(kind({f"../../../../tmp/{name}": b"evil", f"/tmp/{name}": b"evil"}))
        assert not _exists(Path("/tmp") / name)

    @OFFICE
    async def test_a_huge_picture_is_not_unpacked(self, reader: Reader, kind: Office) -> None:
        folder = MAIN_PARTS[kind].partition("/")[0]
        picture = hostile.huge_png(60_000, 60_000)
        assert await reader.outcome(kind({f"{folder}/media/a.png": picture})) == await reader.text(kind({}))

    @pytest.mark.parametrize(
        "content",
        [
            hostile.zip_of_zips(2),
            files.archive({"../../etc/cron.d/evil": b"evil", "/etc/passwd": b"evil"}),
            hostile.tar(),
            gzip.compress(hostile.tar()),
            gzip.compress(bytes(64 * MiB)),
            b"\x1f\x8b\x08\x00" + b"x" * 100,
            bz2.compress(hostile.tar()),
            lzma.compress(hostile.tar()),
            b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(range(256)),
            b"Rar!\x1a\x07\x01\x00" + bytes(range(256)),
            b"\x28\xb5\x2f\xfd" + bytes(range(256)),
        ],
        ids=["zip of zips", "zip", "tar", "tar.gz", "gz bomb", "gz in name only", "bz2", "xz", "7z", "rar", "zst"],
    )
    async def test_an_archive_is_no_document_and_is_not_unpacked(self, reader: Reader, content: bytes) -> None:
        error = await reader.refusal(content)
        assert error.code is ErrorCode.UNSUPPORTED_TYPE
        assert "Unpack it and upload the documents in it." in str(error)


class TestPdf:
    @pytest.mark.parametrize(
        "content", [hostile.pdf_with_image(100_000, 100_000), hostile.pdf_with_length(2**31 - 1), hostile.pdf_with_length(10**15)]
    )  # fmt: skip
    async def test_what_is_only_said_to_be_huge_costs_nothing(self, reader: Reader, content: bytes) -> None:
        assert await reader.outcome(content) == "Bees dance."
        assert reader.costs[-2].peak_bytes < 256 * MiB

    @pytest.mark.parametrize(("size", "layers"), [(1024 * MiB, 1), (2048 * MiB, 2)])
    async def test_a_stream_that_unpacks_to_far_more_is_ended(self, reader: Reader, size: int, layers: int) -> None:
        error = await reader.refusal(hostile.pdf_with_bomb(size, layers=layers))
        assert error.code in (ErrorCode.PARSER_MEMORY, ErrorCode.PARSER_TIMEOUT, ErrorCode.CORRUPT, ErrorCode.EMPTY)

    async def test_what_contains_itself_ends(self, reader: Reader) -> None:
        assert (await reader.refusal(hostile.pdf_of_itself())).code in (ErrorCode.EMPTY, ErrorCode.CORRUPT)

    async def test_very_many_pages_are_refused(self, reader: Reader) -> None:
        assert (await reader.refusal(files.empty_pages(100_000))).code is ErrorCode.TOO_LARGE


class TestOthers:
    async def test_the_last_cell_of_a_sheet_does_not_bring_all_others(self, reader: Reader) -> None:
        assert "1" in str(await reader.outcome(hostile.wide_workbook()))

    @pytest.mark.parametrize(
        "content", [b'{"a":' * 100_000, b"<html><body>" + b"<div>" * 300_000 + b"hey", hostile.nested_mail(5000)]
    )
    async def test_what_is_nested_without_end_is_refused(self, reader: Reader, content: bytes) -> None:
        assert (await reader.refusal(content)).code is ErrorCode.CORRUPT


def _exists(path: Path) -> bool:
    return path.exists()

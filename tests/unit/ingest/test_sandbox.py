"""Whatever is in a file, it can only end the process that reads it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import psutil
import pytest
from structlog.testing import capture_logs

from contracts.documents import Chunk
from contracts.errors import DocumentError, ErrorCode
from tests.support.waiting import until
from tests.unit.ingest import files
from workers.ingest.confinement import Limits, die_with_parent, leave_network, shut_off_possible
from workers.ingest.cutting import Cutting
from workers.ingest.jobs import Started
from workers.ingest.result_file import Header
from workers.ingest.sandbox import ParsingInterruptedError, Sandbox
from workers.ingest.system_calls import deny_calls
from workers.ingest.tokenization import tokenizer_file

MiB = 1024 * 1024
LIMITS = Limits(memory_bytes=512 * MiB, cpu_s=30, wall_s=60, output_bytes=256 * MiB)
CUTTING = Cutting(chunk_tokens=200, overlap_tokens=40)
SLOW = b"*a* " * 1_000_000
SENTENCE = "The broker stores every message before it answers. "


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox(tokenizer=tokenizer_file("all-MiniLM-L6-v2"), limits=LIMITS)
    yield sandbox
    await sandbox.close()


async def read(sandbox: Sandbox, content: bytes, *, name: str = "upload") -> tuple[Header, str, list[list[Chunk]]]:
    with temporary(content) as file:
        async with sandbox.extract(file, name=name, cutting=CUTTING) as result:
            text = b"".join(result.text()).decode()
            batches = [[Chunk.model_validate(chunk) for chunk in json.loads(batch)] for batch in result.batches()]
            return result.header, text, batches


async def refusal(sandbox: Sandbox, content: bytes, *, name: str = "upload") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        await read(sandbox, content, name=name)
    return caught.value


@contextmanager
def temporary(content: bytes) -> Iterator[BinaryIO]:
    with TemporaryFile() as file:
        file.write(content)
        yield file


@asynccontextmanager
async def limited(limits: Limits) -> AsyncIterator[Sandbox]:
    """A sandbox with limits of its own."""
    sandbox = Sandbox(tokenizer=None, limits=limits)
    try:
        yield sandbox
    finally:
        await sandbox.close()


class TestReading:
    async def test_text_and_chunks_come_back(self, sandbox: Sandbox) -> None:
        header, text, batches = await read(sandbox, (SENTENCE * 400).encode())
        chunks = [chunk for batch in batches for chunk in batch]
        assert text == (SENTENCE * 400).strip()
        assert all(chunk.text == text[chunk.start : chunk.end] for chunk in chunks)
        assert [chunk.ordinal for chunk in chunks] == list(range(header.chunks))
        assert (header.batches, header.characters) == (len(batches), len(text))
        assert all(len(batch) <= CUTTING.batch_chunks for batch in batches)

    async def test_the_same_file_gives_the_same_fingerprint(self, sandbox: Sandbox) -> None:
        content = files.pdf([("Heading1", "Title"), ("BodyText", SENTENCE * 30)])
        first, _, _ = await read(sandbox, content)
        second, _, _ = await read(sandbox, content)
        assert first == second
        assert (first.media_type, first.pages) == ("application/pdf", 1)

    async def test_a_refusal_comes_back_with_its_code_and_advice(self, sandbox: Sandbox) -> None:
        error = await refusal(sandbox, files.image_pdf())
        assert error.code is ErrorCode.IMAGE_ONLY
        assert "OCR" in str(error)

    async def test_several_files_are_read_at_once(self, sandbox: Sandbox) -> None:
        contents = [f"{SENTENCE} Number {n}.".encode() for n in range(8)]
        results = await asyncio.gather(*(read(sandbox, content) for content in contents))
        assert [text for _, text, _ in results] == [content.decode() for content in contents]

    async def test_batches_stay_below_their_size(self, sandbox: Sandbox) -> None:
        small = replace(CUTTING, batch_bytes=4096)
        with temporary((SENTENCE * 1000).encode()) as file:
            async with sandbox.extract(file, name="a.txt", cutting=small) as result:
                assert max(len(batch) for batch in result.batches()) <= 4096 + 64


class TestBombs:
    async def test_an_xml_bomb_is_not_expanded(self, sandbox: Sandbox) -> None:
        entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
        doctype = f'<!DOCTYPE x [<!ENTITY a0 "{"x" * 1000}">{entities}]>'.encode()
        body = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        bomb = files.word_with_body(body + b"<w:t>&a11;</w:t></w:r></w:p></w:body></w:document>", doctype=doctype)
        assert (await refusal(sandbox, bomb)).code in (ErrorCode.EMPTY, ErrorCode.CORRUPT)

    async def test_a_file_that_takes_too_much_memory_is_ended(self) -> None:
        rows = b"".join(b"<w:p><w:r><w:t>%d</w:t></w:r></w:p>" % n for n in range(400_000))
        body = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        large = files.word_with_body(body + rows + b"</w:body></w:document>")
        async with limited(replace(LIMITS, memory_bytes=160 * MiB)) as small:
            error = await refusal(small, large)
            assert error.code is ErrorCode.PARSER_MEMORY
            assert "160 MiB" in str(error)
            assert (await read(small, b"The next file is read."))[1] == "The next file is read."

    async def test_an_xml_parser_that_gets_no_memory_does_not_call_the_file_corrupt(self) -> None:
        async with limited(replace(LIMITS, memory_bytes=320 * MiB)) as small:
            error = await refusal(small, b"<html><body>" + b"<p>a <b>b</b></p>" * 1_500_000)
            assert error.code is ErrorCode.PARSER_MEMORY

    async def test_a_file_that_takes_too_much_processor_time_is_ended(self) -> None:
        slow = b"".join(b"[a](<b> 'c') *d* " for _ in range(300_000))
        async with limited(replace(LIMITS, cpu_s=1)) as short:
            error = await refusal(short, slow, name="a.md")
        assert error.code is ErrorCode.PARSER_TIMEOUT
        assert "processor time" in str(error)

    async def test_a_file_that_takes_too_long_is_ended(self) -> None:
        slow = b"".join(b"[a](<b> 'c') *d* " for _ in range(300_000))
        async with limited(replace(LIMITS, wall_s=2)) as short:
            await read(short, b"Warm.")
            error = await refusal(short, slow, name="a.md")
        assert error.code is ErrorCode.PARSER_TIMEOUT
        assert "longer than 2 s" in str(error)

    async def test_a_pdf_of_very_many_pages_is_refused(self, sandbox: Sandbox) -> None:
        assert (await refusal(sandbox, files.empty_pages(100_000))).code in (
            ErrorCode.TOO_LARGE,
            ErrorCode.PARSER_TIMEOUT,
        )

    async def test_deep_json_is_refused(self, sandbox: Sandbox) -> None:
        assert (await refusal(sandbox, b"[" * 1_000_000)).code is ErrorCode.CORRUPT


class TestContainment:
    async def test_a_child_that_crashes_fails_its_file_only(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        slow = asyncio.create_task(refusal(sandbox, b"*a* " * 1_000_000, name="a.md"))
        await until(lambda: bool(children(sandbox)))
        children(sandbox)[0].send_signal(11)
        assert (await slow).code is ErrorCode.PARSER_CRASHED
        assert (await read(sandbox, b"The next."))[1] == "The next."

    async def test_a_lost_process_is_started_anew(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        slow = asyncio.create_task(read(sandbox, b"*a* " * 1_000_000, name="a.md"))
        await until(lambda: bool(children(sandbox)))
        child = children(sandbox)[0]
        psutil.Process(pid(sandbox)).kill()
        with pytest.raises(ParsingInterruptedError):
            await slow
        await until(lambda: not child.is_running(), what="the child dies with its parent")
        assert (await read(sandbox, b"The next."))[1] == "The next."

    async def test_cancellation_kills_the_child(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        slow = asyncio.create_task(read(sandbox, b"*a* " * 1_000_000, name="a.md"))
        await until(lambda: bool(children(sandbox)))
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        await until(lambda: not children(sandbox))

    async def test_closing_leaves_no_process_behind(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        process = psutil.Process(pid(sandbox))
        await sandbox.close()
        assert not process.is_running()

    async def test_the_process_gets_no_secrets(self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in (
            "WAGGLE_NATS_PASSWORD",
            "WAGGLE_NATS_NKEY_SEED",
            "WAGGLE_API_KEY",
            "HTTPS_PROXY",
            "AWS_SECRET_ACCESS_KEY",
        ):
            monkeypatch.setenv(name, "secret")
        await read(sandbox, b"Warm.")
        slow = asyncio.create_task(read(sandbox, SLOW, name="a.md"))
        await until(lambda: bool(children(sandbox)))
        for process in (psutil.Process(pid(sandbox)), children(sandbox)[0]):
            assert set(process.environ()) == {"PYTHONPATH", "TOKENIZERS_PARALLELISM", "LC_ALL", "PYTHONUTF8"}
        slow.cancel()
        await asyncio.wait({slow})

    async def test_a_child_has_limits_of_everything(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        slow = asyncio.create_task(read(sandbox, SLOW, name="a.md"))
        await until(lambda: bool(children(sandbox)))
        child = children(sandbox)[0].pid
        await until(lambda: limit(child, "Max core file size") == 0)
        assert limit(child, "Max data size") == LIMITS.memory_bytes
        assert limit(child, "Max address space") == LIMITS.memory_bytes + 2048 * MiB
        assert limit(child, "Max file size") == LIMITS.output_bytes
        assert limit(child, "Max open files") == 64
        assert limit(child, "Max processes") == 0
        assert LIMITS.cpu_s <= limit(child, "Max cpu time") <= LIMITS.cpu_s + 5
        slow.cancel()
        await asyncio.wait({slow})

    async def test_the_process_denies_itself_sockets_and_programs_where_the_kernel_allows_it(
        self, sandbox: Sandbox
    ) -> None:
        await read(sandbox, b"Warm.")
        if not in_child(denied):
            pytest.skip("this kernel knows no filters of system calls")
        assert is_filtered(pid(sandbox))

    def test_what_is_denied_fails_and_what_is_needed_does_not(self) -> None:
        if not in_child(denied):
            pytest.skip("this kernel knows no filters of system calls")
        calls: tuple[Callable[[], object], ...] = (
            socket.socket,
            lambda: socket.socket(socket.AF_UNIX),
            lambda: os.execv("/bin/false", ["false"]),
        )
        for call in calls:
            assert in_child(partial(refused, call, first=denied))
            assert not in_child(partial(refused, call))
        assert in_child(lambda: denied() and len(socket.socketpair()) == 2 and in_child(lambda: True))

    async def test_a_process_that_reaches_the_network_is_told_of_once(self, sandbox: Sandbox) -> None:
        with capture_logs() as lines:
            for reaches in (False, True, True):
                sandbox._on_started(Started(reaches_network=reaches))
        assert [line["log_level"] for line in lines] == ["warning"]

    async def test_the_process_says_how_far_it_is_confined(
        self, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[Started] = []
        monkeypatch.setattr(sandbox, "_on_started", told.append)
        await read(sandbox, b"Warm.")
        assert told == [Started(reaches_network=not shut_off_possible())]

    async def test_the_process_has_no_network_where_the_kernel_allows_it(self, sandbox: Sandbox) -> None:
        await read(sandbox, b"Warm.")
        if not in_child(leave_network):
            pytest.skip("this kernel lets nobody leave the network")
        assert network_of(pid(sandbox)) != network_of(os.getpid())


def in_child(holds: Callable[[], bool]) -> bool:
    """Whether something holds, tried in a child, so that the test stays as it is."""
    child = os.fork()
    if child == 0:
        held = False
        try:
            held = holds()
        finally:
            os._exit(0 if held else 1)
    return os.waitpid(child, 0)[1] == 0


def denied() -> bool:
    die_with_parent()
    return deny_calls()


def refused(call: Callable[[], object], *, first: Callable[[], object] = bool) -> bool:
    first()
    try:
        call()
    except PermissionError:
        return True
    return False


def limit(process: int, name: str) -> int:
    """The soft limit; -1 where there is none."""
    lines = Path(f"/proc/{process}/limits").read_text().splitlines()
    value = next(line for line in lines if line.startswith(name))[26:].split()[0]
    return -1 if value == "unlimited" else int(value)


def is_filtered(process: int) -> bool:
    return "Seccomp:\t2" in Path(f"/proc/{process}/status").read_text()


def network_of(process: int) -> int:
    return Path(f"/proc/{process}/ns/net").stat().st_ino


def pid(sandbox: Sandbox) -> int:
    assert sandbox._process is not None
    return sandbox._process.process.pid


def children(sandbox: Sandbox) -> list[psutil.Process]:
    return psutil.Process(pid(sandbox)).children()

"""Documents' bytes: streamed in and out, and gone without a trace when they should be."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest

from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.uploads import CHUNK_BYTES, DamagedUploadError, UploadMissingError, Uploads, UploadTooLargeError
from tests.support.outages import outage
from tests.support.waiting import until

STREAM = "OBJ_uploads"
MiB = 1024 * 1024


@pytest.fixture
async def uploads(broker: Broker) -> AsyncIterator[Uploads]:
    uploads = Uploads(broker)
    yield uploads
    await uploads.close()


async def pieces(data: bytes, size: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def stored_messages(broker: Broker) -> int:
    return (await broker.js.stream_info(STREAM)).state.messages


async def put(uploads: Uploads, data: bytes, *, generation: str = "g", max_bytes: int = 10 * MiB) -> None:
    await uploads.put("t", "d", generation, "content", pieces(data), max_bytes=max_bytes)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * MiB + 7])
async def test_what_is_read_is_what_was_put(uploads: Uploads, size: int) -> None:
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    stored = await uploads.put("t", "d", "g", "content", pieces(data), max_bytes=10 * MiB)
    assert (stored.size_bytes, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await uploads.read_bytes("t", "d", "g", "content") == data


async def test_any_object_store_client_can_read_it(uploads: Uploads, broker: Broker) -> None:
    data = b"x" * 300_000
    await put(uploads, data)
    found = await (await broker.js.object_store("uploads")).get("t/d/g/content")
    assert found.data == data


async def test_content_and_text_of_a_generation_are_apart(uploads: Uploads) -> None:
    await put(uploads, b"original")
    await uploads.put("t", "d", "g", "text", pieces(b"extracted"), max_bytes=MiB)
    assert await uploads.read_bytes("t", "d", "g", "content") == b"original"
    assert await uploads.read_bytes("t", "d", "g", "text") == b"extracted"


async def test_putting_again_replaces_and_leaves_nothing_of_the_old(uploads: Uploads, broker: Broker) -> None:
    await put(uploads, b"a" * 3 * CHUNK_BYTES)
    await put(uploads, b"b")
    assert await uploads.read_bytes("t", "d", "g", "content") == b"b"
    assert await stored_messages(broker) == 2


async def test_an_upload_above_the_limit_is_refused_and_leaves_nothing(uploads: Uploads, broker: Broker) -> None:
    most = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal most
        while True:
            yield b"x" * 10_000
            most = max(most, (await broker.js.stream_info(STREAM)).state.bytes)

    with pytest.raises(UploadTooLargeError, match="1048576 bytes"):
        await uploads.put("t", "d", "g", "content", endless(), max_bytes=MiB)
    assert most < MiB + 64 * 1024
    assert await stored_messages(broker) == 0


async def test_an_upload_of_exactly_the_limit_is_taken(uploads: Uploads) -> None:
    await put(uploads, b"x" * MiB, max_bytes=MiB)
    assert len(await uploads.read_bytes("t", "d", "g", "content")) == MiB


async def test_an_upload_whose_sender_breaks_off_leaves_nothing(uploads: Uploads, broker: Broker) -> None:
    async def breaks_off() -> AsyncIterator[bytes]:
        yield b"x" * 5 * CHUNK_BYTES
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await uploads.put("t", "d", "g", "content", breaks_off(), max_bytes=10 * MiB)
    assert await stored_messages(broker) == 0


async def test_a_cancelled_upload_leaves_nothing(uploads: Uploads, broker: Broker) -> None:
    stalled = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"x" * 5 * CHUNK_BYTES
        stalled.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(uploads.put("t", "d", "g", "content", stalls(), max_bytes=10 * MiB))
    await stalled.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await stored_messages(broker) == 0


async def test_an_upload_cancelled_at_any_moment_leaves_nothing(uploads: Uploads, broker: Broker) -> None:
    for turns in range(0, 60, 3):
        putting = asyncio.create_task(put(uploads, b"x" * 20 * CHUNK_BYTES))
        for _ in range(turns):
            await asyncio.sleep(0)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
    assert await stored_messages(broker) == 0


async def test_an_upload_during_which_the_broker_dies_leaves_nothing_once_it_is_back(
    uploads: Uploads, broker: Broker, nats_server: NatsServer
) -> None:
    begun, dead = asyncio.Event(), asyncio.Event()

    async def interrupted() -> AsyncIterator[bytes]:
        yield b"x" * 5 * CHUNK_BYTES
        begun.set()
        await dead.wait()
        yield b"x" * CHUNK_BYTES

    putting = asyncio.create_task(uploads.put("t", "d", "g", "content", interrupted(), max_bytes=10 * MiB))
    await begun.wait()
    async with outage(nats_server, broker):
        dead.set()
        with pytest.raises(BrokerUnavailableError):
            await putting

    async def empty() -> bool:
        return await stored_messages(broker) == 0

    await until(empty)


async def test_a_deleted_upload_is_gone_without_a_trace(uploads: Uploads, broker: Broker) -> None:
    await put(uploads, b"x" * MiB)
    await uploads.put("t", "d", "g", "text", pieces(b"text"), max_bytes=MiB)
    await put(uploads, b"other", generation="h")
    await uploads.delete("t", "d", "g")
    await uploads.delete("t", "d", "g")
    assert await stored_messages(broker) == 2
    assert await uploads.read_bytes("t", "d", "h", "content") == b"other"


async def test_reading_what_is_not_there_says_so(uploads: Uploads) -> None:
    with pytest.raises(UploadMissingError):
        await uploads.read_bytes("t", "d", "g", "content")


async def test_an_upload_removed_while_it_is_read_is_not_taken_for_whole(uploads: Uploads) -> None:
    await put(uploads, b"x" * 5 * MiB)
    reading = uploads.read("t", "d", "g", "content")
    await anext(reading)
    await uploads.delete("t", "d", "g")
    with pytest.raises(DamagedUploadError):
        async for _ in reading:
            pass


async def test_of_several_that_put_at_once_one_stays_and_the_others_leave_nothing(
    uploads: Uploads, broker: Broker
) -> None:
    data = b"x" * 3 * CHUNK_BYTES
    await asyncio.gather(*(put(uploads, data) for _ in range(4)))
    assert await uploads.read_bytes("t", "d", "g", "content") == data
    assert await stored_messages(broker) == 3 + 1
    await uploads.delete("t", "d", "g")
    assert await stored_messages(broker) == 0


async def test_a_probe_writes_reads_and_leaves_nothing(uploads: Uploads, broker: Broker) -> None:
    before = (await broker.js.stream_info(STREAM)).state
    await uploads.probe()
    after = (await broker.js.stream_info(STREAM)).state
    assert (after.messages, after.last_seq) == (before.messages, before.last_seq + 1)


async def test_a_probe_of_a_broker_that_is_away_says_so(uploads: Uploads, nats_server: NatsServer) -> None:
    nats_server.kill()
    with pytest.raises(BrokerUnavailableError):
        await uploads.probe()

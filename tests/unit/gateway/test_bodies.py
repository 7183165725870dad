"""Bodies are bounded in size, time and structure before anything is made of them."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from starlette.requests import Request

from gateway.bodies import Body, JsonBodies
from gateway.limits import Limits
from gateway.problems import ClientGoneError, Problem
from gateway.query_schemas import QueryBody
from gateway.schemas import DocumentText

LIMITS = Limits(silence_s=0.2, progress_bytes=100)


def request(*chunks: bytes, headers: dict[str, str] | None = None, more: bool = False, pause_s: float = 0) -> Request:
    """A request whose body comes in `chunks`; with `more` it never ends."""
    waiting = list(chunks)

    async def receive():
        if waiting:
            await asyncio.sleep(pause_s)
            chunk = waiting.pop(0)
            return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or more}
        return await asyncio.Future()

    given = {"content-type": "application/json", **(headers or {})}
    encoded = [(name.encode(), value.encode()) for name, value in given.items()]
    return Request({"type": "http", "method": "POST", "headers": encoded}, receive)


async def parse(body: bytes, model=QueryBody, at_most: int = 64 * 1024, **headers: str):
    return await JsonBodies(Limits()).read(request(body, headers=headers), model, at_most=at_most)


async def status_of(body: bytes, **options) -> int:
    with pytest.raises(Problem) as refused:
        await parse(body, **options)
    return refused.value.status


async def test_a_silent_sender_is_cut_with_408():
    body = Body(request(b"x" * 1000, more=True), LIMITS)
    with pytest.raises(Problem) as refused:
        async for _ in body.chunks():
            pass
    assert refused.value.status == 408


async def test_a_drip_is_cut_as_silence_is():
    drip = [b"x"] * 1000
    started = time.monotonic()
    with pytest.raises(Problem) as refused:
        async for _ in Body(request(*drip, pause_s=0.01), LIMITS).chunks():
            pass
    assert refused.value.status == 408
    assert time.monotonic() - started < 5


async def test_time_the_reader_takes_is_not_held_against_the_sender():
    chunks = [b"x" * 10] * 3
    seen = 0
    async for chunk in Body(request(*chunks), LIMITS).chunks():
        seen += len(chunk)
        await asyncio.sleep(LIMITS.silence_s)
    assert seen == 30


async def test_a_client_that_left_is_told_apart():
    async def receive():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGoneError):
        async for _ in Body(Request({"type": "http", "headers": []}, receive), LIMITS).chunks():
            pass


async def test_a_question_is_read():
    assert (await parse(b'{"query": " Why? ", "top_k": 3}')).query == "Why?"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"query": "\\ud800"}', 400),
        (b'{"query": "a\x00b"}', 400),
        (b'{"query": "a\\u0000b"}', 422),
        (b'{"query": "x", "filters": {"metadata": {"a\\u0000": ["b"]}}}', 422),
        (b'{"query": "x", "surprise": 1}', 422),
        (b'{"query": "x", "tenant": "other"}', 422),
        (b'{"query": "   "}', 422),
        (b'{"query": "x", "deadline_s": NaN}', 422),
        (b'{"query": "x", "deadline_s": 0}', 422),
        (b'{"query": "x", "deadline_s": 1e9}', 422),
        (b'{"query": "x", "top_k": 51}', 422),
        (b'{"query": "x", "mode": "psychic"}', 422),
        (b'{"query": "x", "generation": {"temperature": NaN}}', 422),
        (b'{"query": "x", "filters": ' + b"[" * 100 + b"]" * 100 + b"}", 422),
        (b'{"query": "' + b"x" * 4001 + b'"}', 422),
        (b"[1,2]", 422),
        (b'{"query": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
async def test_what_is_no_question_is_refused(body, status):
    assert await status_of(body) == status


async def test_a_million_members_are_refused_before_they_are_built():
    crowded = b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}"
    assert await status_of(crowded, model=DocumentText, at_most=16 * 1024 * 1024) == 422


async def test_a_long_string_full_of_brackets_is_not_structure():
    text = json.dumps({"name": "code.txt", "text": '[{"\\' * 20_000}).encode()
    assert (await parse(text, model=DocumentText, at_most=1 << 20)).text.startswith("[{")


async def test_an_escaped_backslash_before_u0000_is_not_a_nul():
    assert (await parse(rb'{"query": "what is \\u0000?"}')).query == r"what is \u0000?"


async def test_a_declared_length_above_the_limit_is_refused_without_reading():
    reader = JsonBodies(Limits())
    with pytest.raises(Problem) as refused:
        await reader.read(request(headers={"content-length": "99"}), QueryBody, at_most=98)
    assert refused.value.status == 413


async def test_other_content_types_are_unsupported():
    with pytest.raises(Problem) as refused:
        await JsonBodies(Limits()).read(request(headers={"content-type": "text/plain"}), QueryBody, at_most=10)
    assert refused.value.status == 415


async def test_large_bodies_in_hand_at_once_are_bounded_and_released():
    limits = Limits(json_in_hand_bytes=100)
    reader = JsonBodies(limits)
    first = asyncio.create_task(reader.read(request(b'{"query', more=True), QueryBody, at_most=80))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await reader.read(request(b"{}"), QueryBody, at_most=80)
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"] == "1"
    first.cancel()
    await asyncio.wait({first})
    assert (await reader.read(request(b'{"query": "x"}'), QueryBody, at_most=80)).query == "x"

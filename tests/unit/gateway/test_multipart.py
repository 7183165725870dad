"""Multipart bodies arrive in pieces of any size; every piece must give the same parts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.multipart import boundary_of, parts
from gateway.problems import Problem

BOUNDARY = b"frontier"


def part(disposition: str, content: bytes) -> bytes:
    return b"--frontier\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\n" + content + b"\r\n"


def form(*encoded: bytes) -> bytes:
    return b"".join(encoded) + b"--frontier--\r\n"


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(data: bytes, size: int = 1 << 16) -> list[tuple[str, str | None, bytes]]:
    found = []
    async for item in parts(pieces(data, size), BOUNDARY):
        content = b"".join([chunk async for chunk in item.chunks()])
        found.append((item.head.field, item.head.file_name, content))
    return found


@given(content=st.binary(max_size=300), size=st.integers(min_value=1, max_value=64))
async def test_parts_are_the_same_however_the_body_is_cut_into_chunks(content, size):
    body = form(part('form-data; name="metadata"', b"{}"), part('form-data; name="file"; filename="a.bin"', content))
    if b"--frontier" in content:
        return
    assert await read(body, size) == [("metadata", None, b"{}"), ("file", "a.bin", content)]


async def test_a_reader_may_go_on_after_a_part_in_which_the_body_broke_off():
    body = form(part('form-data; name="a"; filename="a"', b"x" * 5000))[:-20]
    broken = []
    async for item in parts(pieces(body, 100), BOUNDARY):
        with pytest.raises(Problem, match="breaks off"):
            await item.text(at_most=10_000)
        broken.append(item.head.field)
    assert broken == ["a"]


async def test_what_a_reader_leaves_of_a_part_is_skipped():
    body = form(part('form-data; name="a"; filename="a"', b"x" * 5000), part('form-data; name="b"', b"second"))
    seen = []
    async for item in parts(pieces(body, 100), BOUNDARY):
        seen.append(item.head.field)
        if item.head.field == "b":
            assert await item.text(at_most=10) == "second"
    assert seen == ["a", "b"]


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        ('form-data; name="file"; filename="蜜蜂.txt"', "蜜蜂.txt"),
        ("form-data; name=\"file\"; filename*=utf-8''%E8%9C%9C%E8%9C%82.txt", "蜜蜂.txt"),
        ('form-data; name="file"; filename="say %22hi%22.txt"', 'say "hi".txt'),
        ('form-data; name="file"; filename=""', ""),
    ],
)
async def test_file_names_beyond_ascii_are_read_in_every_way_clients_send_them(disposition, expected):
    assert (await read(form(part(disposition, b""))))[0][1] == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no multipart at all",
        part('form-data; name="file"; filename="a"', b"no closing boundary"),
        form(part("attachment", b"no field name")),
        form(b'--frontier\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n'),
        b"--frontier\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n\r\n--frontier--\r\n",
    ],
)
async def test_a_body_that_is_broken_or_breaks_off_is_a_malformed_request(body):
    with pytest.raises(Problem) as refused:
        await read(body)
    assert refused.value.status == 400


async def test_a_form_field_above_its_limit_is_too_large():
    body = form(part('form-data; name="metadata"', b"x" * 100))
    item = await anext(parts(pieces(body, 16), BOUNDARY))
    with pytest.raises(Problem) as refused:
        await item.text(at_most=99)
    assert refused.value.status == 413


def test_a_content_type_without_a_boundary_is_refused():
    with pytest.raises(Problem):
        boundary_of("multipart/form-data")
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"

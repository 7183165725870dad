"""The public keys of a provider: which are taken, when they are read, and when one is trusted no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from jwt.algorithms import RSAAlgorithm

from gateway.tokens import SignersUnknownError, SigningKeys
from gateway.tokens.jwks import MOST_BYTES, JwksFailedError, keys_of
from tests.support.tokens import OTHER_RSA, PUBLIC, jwk, write
from tests.support.waiting import until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "jwks.json"
    write(made, *PUBLIC)
    return made


def test_only_public_keys_that_sign_and_have_an_id_are_taken() -> None:
    assert set(keys_of(json.dumps({"keys": PUBLIC}).encode())) == {"rsa", "ec", "ed"}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"keys": 7}', b"\xff", b"[" * 100_000, b" " * (MOST_BYTES + 1)])
def test_what_is_no_key_set_is_refused(text: bytes) -> None:
    with pytest.raises(JwksFailedError):
        keys_of(text)


async def test_a_key_that_is_rotated_in_is_known_at_once_and_names_made_up_are_not_fetched(file: Path) -> None:
    clock = [100.0]
    keys = SigningKeys(str(file), now=lambda: clock[0])
    assert await keys.find("rsa") is not None
    write(file, jwk(RSAAlgorithm, OTHER_RSA, kid="new"))

    assert await keys.find("new") is None  # they were read just now
    clock[0] += 31
    assert await keys.find("new") is not None
    assert await keys.find("rsa") is None


async def test_who_asks_while_they_are_read_waits() -> None:
    answered, go_on = 0, asyncio.Event()

    async def handle(_: httpx.Request) -> httpx.Response:
        nonlocal answered
        await go_on.wait()
        answered += 1
        return httpx.Response(200, json={"keys": PUBLIC})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        keys = SigningKeys("https://login.example/jwks", client=client)
        asking = [asyncio.create_task(keys.find("rsa")) for _ in range(3)]
        await asyncio.sleep(0)
        go_on.set()
        assert all(await asyncio.gather(*asking))
    assert answered == 1


async def test_what_was_known_goes_on_while_they_cannot_be_read(file: Path) -> None:
    clock = [100.0]
    keys = SigningKeys(str(file), now=lambda: clock[0])
    assert await keys.find("rsa") is not None
    write(file)
    clock[0] += 31

    assert await keys.find("nobody") is None
    assert await keys.find("rsa") is not None


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_a_url_that_does_not_give_them_is_not_followed(status: int) -> None:
    asked = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, headers={"Location": "http://169.254.169.254/"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        keys = SigningKeys("https://login.example/jwks", client=client)
        for _ in range(2):
            with pytest.raises(SignersUnknownError):
                await keys.find("rsa")
    assert asked == ["https://login.example/jwks"]


async def test_a_url_that_gives_without_end_is_given_up() -> None:
    async def endless():
        while True:
            yield b" " * 65_536

    async with httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=endless()))
    ) as client:
        with pytest.raises(SignersUnknownError):
            await SigningKeys("https://login.example/jwks", client=client).find("rsa")


@asynccontextmanager
async def read_again(keys: SigningKeys) -> AsyncIterator[None]:
    reading = asyncio.create_task(keys.run())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def test_a_key_that_is_withdrawn_is_trusted_no_more_though_nobody_shows_another(file: Path) -> None:
    keys = SigningKeys(str(file), again_s=0.05)
    async with read_again(keys):
        for withdrawn, follows in [("rsa", "new"), ("new", "newer")]:  # the first may be gone at the first reading
            assert await keys.find(withdrawn) is not None
            write(file, jwk(RSAAlgorithm, OTHER_RSA, kid=follows))
            await until(partial(_is_gone, keys, withdrawn))


async def _is_gone(keys: SigningKeys, key_id: str) -> bool:
    return await keys.find(key_id) is None


@pytest.mark.parametrize("known", [True, False])
async def test_after_a_reading_that_failed_they_are_read_again_soon(known: bool) -> None:
    """Also where some are known: one that was withdrawn meanwhile must not go on for another ten minutes."""
    replies = [*([PUBLIC] if known else []), None, [jwk(RSAAlgorithm, OTHER_RSA, kid="new")]]
    given: list[object] = []

    def handle(_: httpx.Request) -> httpx.Response:
        given.append(replies[len(given)])
        return httpx.Response(500) if given[-1] is None else httpx.Response(200, json={"keys": given[-1]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        keys = SigningKeys("https://login.example/jwks", client=client, again_s=3600, unknown_s=0.05)
        if known:
            assert await keys.find("rsa") is not None
        async with read_again(keys):
            await until(lambda: given == replies)
            assert await keys.find("new") is not None
            assert await keys.find("rsa") is None

"""API keys in the broker: made, revoked, rotated, and known by who admits within a moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from contracts import topology
from contracts.api_keys import Scope
from messaging.api_keys import KeyBook, KeyOver, KeyRefusedError, KeyRing, KeyUses, NewKey, NoSuchKeyError, end_of, over
from messaging.broker import Broker
from messaging.buckets import Bucket
from tests.support.subscriptions import never_woken
from tests.support.waiting import until

QUERY = (Scope.QUERY,)


@pytest.fixture
def book(broker: Broker) -> KeyBook:
    return KeyBook(broker)


@pytest.fixture
async def ring(broker: Broker) -> AsyncIterator[KeyRing]:
    ring = KeyRing(broker, poll_s=0.2, anew_s=3600)
    following = asyncio.create_task(ring.run())
    await asyncio.wait_for(ring.known.wait(), 10)
    yield ring
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def made(book: KeyBook, **changes: object) -> NewKey:
    asked = {"name": "import", "tenant": "acme", "scopes": QUERY, "principal": "ada", **changes}
    return await book.create(**asked)  # type: ignore[arg-type]


async def test_a_key_opens_from_when_it_is_made(book: KeyBook, ring: KeyRing) -> None:
    new = await made(book)
    await until(lambda: ring.find(new.text))

    found = ring.find(new.text)
    assert found is not None
    assert (found.tenant, found.scopes, found.principal) == ("acme", QUERY, "ada")


async def test_nothing_of_its_secret_is_stored_or_shown(book: KeyBook, broker: Broker) -> None:
    new = await made(book)
    secret = new.text.rpartition("_")[2] if "_" not in new.text[20:] else new.text[20:]

    stored = await Bucket(broker, topology.APIKEYS).get(f"key.{new.key.id}")
    assert stored is not None
    assert stored.value is not None
    assert secret.encode() not in stored.value
    assert secret not in repr(new)
    assert new.key.digest not in repr(new)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wk_",
        "x" * 1_000_000,
        "wk_aaaaaaaaaaaaaaaa_" + "a" * 43,
        "wk_aaaaaaaaaaaaaaaa_" + "é" * 43,
        "\x00",
        "Bearer x",
    ],
)
async def test_what_is_no_key_opens_nothing(book: KeyBook, ring: KeyRing, text: str) -> None:
    await made(book)

    assert ring.find(text) is None


async def test_the_right_id_with_another_secret_opens_nothing(book: KeyBook, ring: KeyRing) -> None:
    new, other = await made(book), await made(book)
    await until(lambda: ring.find(other.text))

    mixed = new.text[: len("wk_") + 17] + other.text[len("wk_") + 17 :]
    assert ring.find(mixed) is None
    assert ring.find(new.text.upper()) is None
    assert ring.find(new.text + " ") is None


async def test_a_revoked_key_opens_nothing_at_everybody(book: KeyBook, ring: KeyRing) -> None:
    new = await made(book)
    await until(lambda: ring.find(new.text))

    revoked = await book.revoke(new.key.id, principal="bob")

    await until(lambda: ring.find(new.text) is None)
    assert (revoked.revoked_by, over(revoked, revoked.created_at)) == ("bob", KeyOver.REVOKED)
    assert await book.revoke(new.key.id, principal="eve") == revoked


async def test_a_revocation_that_nobody_heard_is_found(book: KeyBook, broker: Broker, monkeypatch) -> None:
    """A subscription that is silent: what is polled finds it."""
    monkeypatch.setattr("messaging.storage.Storage._woken_by", never_woken)
    ring = KeyRing(broker, poll_s=0.2, anew_s=3600)
    following = asyncio.create_task(ring.run())
    new = await made(book)
    await until(lambda: ring.find(new.text))

    await book.revoke(new.key.id, principal="bob")

    await until(lambda: ring.find(new.text) is None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_revocation_is_found_while_all_keys_are_read_anew(book: KeyBook, broker: Broker, monkeypatch) -> None:
    """Many keys are not read in a moment, least of all from a cluster."""
    ring, begun = KeyRing(broker, anew_s=0.3), asyncio.Event()
    following = asyncio.create_task(ring.run())
    new = await made(book)
    await until(lambda: ring.find(new.text))

    async def slow(_bucket: Bucket, _pattern: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Bucket, "newest", slow)
    await asyncio.wait_for(begun.wait(), 30)
    await book.revoke(new.key.id, principal="bob")

    await until(lambda: ring.find(new.text) is None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_key_ends_when_it_says(book: KeyBook, ring: KeyRing, broker: Broker) -> None:
    new = await made(book, expires_at=broker.clock.now() + timedelta(seconds=2))
    await until(lambda: ring.find(new.text))

    await until(lambda: ring.find(new.text) is None)


@pytest.mark.parametrize("lasting", [timedelta(seconds=-1), timedelta(), timedelta(days=4000)])
async def test_one_that_is_over_or_lasts_too_long_is_refused(book: KeyBook, broker: Broker, lasting: timedelta) -> None:
    with pytest.raises(KeyRefusedError):
        await made(book, expires_at=broker.clock.now() + lasting)
    assert await book.all() == []


async def test_a_rotated_key_goes_on_for_the_overlap(book: KeyBook, ring: KeyRing, broker: Broker) -> None:
    old = await made(book, expires_at=broker.clock.now() + timedelta(days=30))

    new = await book.rotate(old.key.id, overlap=timedelta(seconds=2), principal="bob")

    assert (new.key.name, new.key.tenant, new.key.scopes) == (old.key.name, old.key.tenant, old.key.scopes)
    assert new.key.replaces == old.key.id
    assert new.key.expires_at is not None
    assert abs(new.key.expires_at - broker.clock.now() - timedelta(days=30)) < timedelta(minutes=1)
    await until(lambda: ring.find(new.text) and ring.find(old.text))
    await until(lambda: ring.find(old.text) is None)
    assert ring.find(new.text) is not None


async def test_a_rotation_prolongs_nothing(book: KeyBook, broker: Broker) -> None:
    soon = broker.clock.now() + timedelta(minutes=1)
    old = await made(book, expires_at=soon)

    await book.rotate(old.key.id, overlap=timedelta(days=1), principal="bob")

    kept = await book.get(old.key.id)
    assert kept is not None
    assert end_of(kept) == soon


async def test_one_with_another_in_its_place_is_not_rotated_again(book: KeyBook) -> None:
    old = await made(book)
    new = await book.rotate(old.key.id, overlap=timedelta(days=1), principal="bob")

    with pytest.raises(KeyRefusedError, match=new.key.id):
        await book.rotate(old.key.id, overlap=timedelta(), principal="bob")

    await book.revoke(new.key.id, principal="bob")  # nobody has it: its reply was lost
    again = await book.rotate(old.key.id, overlap=timedelta(), principal="bob")
    assert again.key.expires_at is None


async def test_of_several_that_rotate_it_at_once_one_does(book: KeyBook) -> None:
    old = await made(book)

    rotated = await asyncio.gather(
        *(book.rotate(old.key.id, overlap=timedelta(days=1), principal="bob") for _ in range(8)), return_exceptions=True
    )

    new = [each for each in rotated if isinstance(each, NewKey)]
    assert len(new) == 1
    assert all(isinstance(each, NewKey | KeyRefusedError) for each in rotated)
    open_still = {key.id for key in await book.all() if key.revoked_at is None}
    assert open_still == {old.key.id, new[0].key.id}


async def test_one_that_is_revoked_while_it_is_rotated_has_no_heir(book: KeyBook, monkeypatch) -> None:
    old, create = await made(book), book.create

    async def meanwhile(**asked: Any) -> NewKey:
        await book.revoke(old.key.id, principal="bob")
        return await create(**asked)

    monkeypatch.setattr(book, "create", meanwhile)
    with pytest.raises(KeyRefusedError, match="meanwhile"):
        await book.rotate(old.key.id, overlap=timedelta(days=1), principal="ada")

    assert all(key.revoked_at is not None for key in await book.all())


async def test_what_is_over_or_unknown_is_not_rotated(book: KeyBook) -> None:
    old = await made(book)
    await book.revoke(old.key.id, principal="bob")

    with pytest.raises(KeyRefusedError, match="revoked"):
        await book.rotate(old.key.id, overlap=timedelta(), principal="bob")
    with pytest.raises(NoSuchKeyError):
        await book.rotate("a" * 16, overlap=timedelta(), principal="bob")
    with pytest.raises(NoSuchKeyError):
        await book.revoke("a" * 16, principal="bob")


async def test_two_who_revoke_at_once_both_succeed(book: KeyBook) -> None:
    new = await made(book)

    found = await asyncio.gather(*(book.revoke(new.key.id, principal=f"p{n}") for n in range(4)))

    assert len({each.revoked_by for each in found}) == 1


async def test_what_is_over_for_long_is_forgotten(book: KeyBook, broker: Broker, monkeypatch) -> None:
    old = await made(book)
    await book.revoke(old.key.id, principal="bob")
    await book.note(old.key.id, broker.clock.now())
    monkeypatch.setattr("messaging.api_keys.book.OVER_KEPT", timedelta(seconds=-1))

    new = await made(book)

    assert [each.id for each in await book.all()] == [new.key.id]
    assert await book.used() == {}


async def test_there_are_no_more_than_may_be(book: KeyBook, monkeypatch) -> None:
    monkeypatch.setattr("messaging.api_keys.book.MOST_KEYS", 1)
    await made(book)

    with pytest.raises(KeyRefusedError, match="already"):
        await made(book)


async def test_uses_are_told_and_a_later_one_stays(book: KeyBook, broker: Broker) -> None:
    new, uses = await made(book), KeyUses(broker, book)
    uses.note(new.key.id)
    await uses.tell()

    used = (await book.used())[new.key.id]
    assert used == broker.clock.now().replace(second=0, microsecond=0)
    await book.note(new.key.id, used - timedelta(hours=1))
    assert (await book.used())[new.key.id] == used


async def test_what_others_wrote_there_is_no_key(book: KeyBook, broker: Broker, ring: KeyRing) -> None:
    bucket, new = Bucket(broker, topology.APIKEYS), await made(book)
    await bucket.write("key.aaaaaaaaaaaaaaaa", b"{}", revision=0)
    await bucket.write(f"key.{'b' * 16}", new.key.to_bytes(), revision=0)  # another's

    later = await made(book)
    await until(lambda: ring.find(later.text))
    assert {each.id for each in await book.all()} == {new.key.id, later.key.id}
    assert ring.find("wk_" + "b" * 16 + new.text[19:]) is None


async def test_what_is_gone_from_the_bucket_opens_nothing(book: KeyBook, broker: Broker) -> None:
    ring = KeyRing(broker, anew_s=0.3)
    following = asyncio.create_task(ring.run())
    new = await made(book)
    await until(lambda: ring.find(new.text))

    await broker.js.purge_stream(Bucket(broker, topology.APIKEYS).stream)

    await until(lambda: ring.find(new.text) is None)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)

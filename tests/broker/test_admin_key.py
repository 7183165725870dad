"""The API key of a host: made once, for its owner alone, and anew where it opens nothing any more."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from contracts.api_keys import Scope
from deploy.local.admin_key import ensure_key, read_key
from messaging.api_keys import KeyBook, id_of
from messaging.broker import Broker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "admin.key"


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def write(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")


async def test_it_is_made_once_and_its_owner_alone_may_read_it(broker: Broker, file: Path) -> None:
    await ensure_key(broker, file)
    first = read_key(file)
    await ensure_key(broker, file)

    assert first is not None
    assert read_key(file) == first
    (key,) = await KeyBook(broker).all()
    assert (key.id, key.scopes) == (id_of(first), (Scope.ADMIN,))
    assert mode_of(file) == 0o600


async def test_one_that_opens_nothing_any_more_is_made_anew(broker: Broker, file: Path) -> None:
    await ensure_key(broker, file)
    first = read_key(file)
    assert first is not None
    await KeyBook(broker).revoke(id_of(first) or "", principal="ada")

    await ensure_key(broker, file)

    assert read_key(file) not in {None, first}


@pytest.mark.parametrize("text", ["", "nonsense", "wk_aaaaaaaaaaaaaaaa_" + "a" * 43, "é"])
async def test_what_is_no_key_is_replaced(broker: Broker, file: Path, text: str) -> None:
    write(file, text)

    await ensure_key(broker, file)

    assert id_of(read_key(file) or "") == (await KeyBook(broker).all())[0].id

"""A stack that asks for keys: commands on its host have one, and whoever else comes needs another."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.waggle import LIGHT, Waggle

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    stack = Waggle(data_dir=tmp_path / "data", settings=LIGHT)
    yield stack
    stack("down")


def test_commands_on_its_host_work_and_others_need_a_key(waggle: Waggle, tmp_path: Path) -> None:
    said = waggle.up().stdout
    file = waggle.data_dir / "admin.key"
    assert str(file) in said
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    own = file.read_text(encoding="ascii").strip()
    assert own not in said

    note = tmp_path / "note.txt"
    note.write_text("The honey shop in Quarrington opens at nine.", encoding="utf-8")
    waggle("ingest", str(note))
    assert waggle.json("status")

    assert httpx.get(f"{waggle.url}/v1/documents").status_code == 401
    made = waggle.json("keys", "create", "reader", "--scope", "read", "--for", "1h")["secret"]
    reads = {"Authorization": f"Bearer {made}"}
    (document,) = httpx.get(f"{waggle.url}/v1/documents", headers=reads).json()["items"]
    assert document["name"] == "note.txt"
    assert httpx.get(f"{waggle.url}/v1/fleet", headers=reads).status_code == 403

    assert [each["name"] for each in waggle.json("keys", "ls")["items"]] == ["reader", "commands on this host"]

"""`waggle backup`, then everything is destroyed, then `waggle restore`: as a person does it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.waggle import LIGHT, Waggle

pytestmark = pytest.mark.timeout(1500)

TEXT = "The extractor of the honey house was oiled by Ottilie in May."


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    stack = Waggle(data_dir=tmp_path / "data", settings=LIGHT)
    yield stack
    stack("down")


def test_a_data_folder_that_was_lost_comes_back(waggle: Waggle, tmp_path: Path) -> None:
    folder, files = tmp_path / "backup", tmp_path / "files"
    files.mkdir()
    (files / "house.txt").write_text(TEXT, encoding="utf-8")
    (files / "torn.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind")
    waggle.up()
    waggle("ingest", str(files), code=1)
    before = waggle.json("documents", "ls")["items"]
    letters = waggle.json("dlq", "ls")["items"]

    made = waggle.json("backup", str(folder))
    assert (made["counts"]["documents"], made["counts"]["dead_letters"]) == (2, 1)

    waggle("down")
    shutil.rmtree(waggle.data_dir)
    waggle.up()
    ran = waggle("restore", str(folder))
    assert "2 documents, 3 uploads, 1 dead letter, 1 configuration record" in ran.stdout  # the key of the lost host
    assert "1 document searchable again." in ran.stdout

    after = waggle.json("documents", "ls")["items"]
    assert [(d["document_id"], d["state"], d["version"]) for d in after] == [
        (d["document_id"], d["state"], d["version"]) for d in before
    ]
    assert waggle.json("dlq", "ls")["items"] == letters
    assert TEXT in waggle.json("search", "Who oiled the extractor?")["passages"][0]["text"]

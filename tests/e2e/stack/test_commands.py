"""Commands in the company they keep: pipes that close, signals, folders that hold everything twice."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import cli.demo
from tests.e2e.waggle import Waggle

pytestmark = pytest.mark.timeout(1500)

SAMPLES = Path(cli.demo.__file__).parent / "documents"
QUESTION = "How reliable are the swarm warnings of the S3 sensor?"


def test_an_answer_whose_reader_has_gone_ends_quietly(waggle: Waggle) -> None:
    waggle("ingest", str(SAMPLES))
    asking = subprocess.Popen(
        waggle._command("ask", QUESTION),
        env=waggle._environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stdout
    asking.stdout.close()
    _, err = asking.communicate(timeout=60)
    assert err == ""


def test_a_second_copy_of_the_documents_hides_no_answer(waggle: Waggle, tmp_path: Path) -> None:
    waggle("ingest", str(SAMPLES))
    alone = waggle.json("ask", QUESTION)
    copies = waggle.json("ingest", str(shutil.copytree(SAMPLES, tmp_path / "copies")))["items"]
    try:
        together = waggle.json("ask", QUESTION)
    finally:
        waggle("documents", "rm", *(item["document_id"] for item in copies))
    assert alone["answered"]
    assert together["answered"]
    assert together["answer"].count("[1]") == alone["answer"].count("[1]")


def test_a_load_that_is_ended_takes_its_documents_along(waggle: Waggle) -> None:
    load = waggle.begin("load", "--rate", "20", "--mix", "0:1", "--duration", "60")
    try:
        deadline = time.monotonic() + 60
        while not _load_documents(waggle):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        load.process.send_signal(signal.SIGTERM)
        assert load.end() == 130
    finally:
        load.kill()
    assert _load_documents(waggle) == []


def test_reconcile_says_that_everything_fits_together(waggle: Waggle) -> None:
    waggle("ingest", str(SAMPLES))
    assert waggle.json("reconcile", "--dry-run") == {"dry_run": True, "findings": [], "unseen": {}}
    assert "Everything fits together." in waggle("reconcile").stdout


def _load_documents(waggle: Waggle) -> list[str]:
    items = waggle.json("documents", "ls", "--limit", "0")["items"]
    return [item["document_id"] for item in items if item["document_id"].startswith("load-")]

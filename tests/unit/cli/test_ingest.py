"""`waggle ingest` against a gateway of a few lines."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from cli.client import UnreachableError
from cli.uploading.files import find
from cli.uploading.submission import Outcome, Submission
from contracts.sources import document_of
from tests.unit.cli.gateways import FakeGateway, problem

FAILED = {"state": "failed", "failure": {"code": "encrypted_document", "message": "Save it without a password."}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(30):
        (folder / f"{n:02}.txt").write_text(f"document {n}", encoding="utf-8")
    return folder


async def submit(gateway: FakeGateway, folder: Path, **options) -> list[Outcome]:
    ended: list[Outcome] = []
    async with gateway.client() as client:
        outcomes = await Submission(client, find([str(folder)]), ended.append, **options).run()
    assert ended == outcomes
    return outcomes


async def test_every_file_ends_once(folder: Path) -> None:
    outcomes = await submit(FakeGateway(), folder)

    assert sorted(o.source.name for o in outcomes) == [f"{n:02}.txt" for n in range(30)]
    assert all(o.good and o.chunks == 4 for o in outcomes)


async def test_a_refused_file_does_not_keep_the_others(folder: Path) -> None:
    gateway = FakeGateway(refusals=[problem(413, "too_large", "The file is larger than 1 MB.")])

    outcomes = await submit(gateway, folder)

    assert [o.failure.code for o in outcomes if o.failure] == ["too_large"]
    assert sum(o.good for o in outcomes) == 29


async def test_a_gateway_that_is_away_for_a_moment_is_waited_for(folder: Path) -> None:
    gateway = FakeGateway(refusals=[httpx.ConnectError("refused"), problem(503, "x", "Busy.", Retry_After="1")])

    outcomes = await submit(gateway, folder)

    assert all(o.good for o in outcomes)


async def test_without_waiting_it_ends_when_all_are_accepted(folder: Path) -> None:
    gateway = FakeGateway()

    outcomes = await submit(gateway, folder, wait=False)

    assert all(o.good and o.state == "submitted" for o in outcomes)
    assert gateway.looks == {}


async def test_what_has_not_ended_in_time_is_reported_as_it_stands(folder: Path) -> None:
    gateway = FakeGateway(fates={"03.txt": {"state": "processing"}})

    outcomes = await submit(gateway, folder, deadline_s=3)

    late = [o for o in outcomes if not o.good]
    assert [(o.source.name, o.state, o.failure.code if o.failure else "") for o in late] == [
        ("03.txt", "processing", "not_ended")
    ]


async def test_a_gateway_that_stays_away_ends_it(folder: Path) -> None:
    gateway = FakeGateway(refusals=[httpx.ConnectError("refused")] * 1000)

    with pytest.raises(UnreachableError):
        await submit(gateway, folder, patience_s=0.1)


def test_all_ready_is_exit_code_zero(waggle, fake_gateway: FakeGateway, folder: Path) -> None:
    ran = waggle("ingest", str(folder))

    assert ran.code == 0
    assert "30 of 30 documents are fine." in ran.out
    assert "✓ 00.txt" in ran.err


def test_one_failed_is_exit_code_one_with_its_reason(waggle, fake_gateway: FakeGateway, folder: Path) -> None:
    fake_gateway.fates["07.txt"] = FAILED

    ran = waggle("ingest", str(folder))

    assert ran.code == 1
    assert "✗ 07.txt" in ran.err
    assert "Save it without a password." in ran.err


def test_json_holds_every_outcome(waggle, fake_gateway: FakeGateway, folder: Path) -> None:
    fake_gateway.fates["07.txt"] = FAILED

    ran = waggle("ingest", "--json", str(folder))

    items = {item["name"]: item for item in json.loads(ran.out)["items"]}
    assert ran.code == 1
    assert items["07.txt"]["failure"]["code"] == "encrypted_document"
    assert items["08.txt"]["state"] == "ready"


def test_a_path_that_is_missing_has_nothing_submitted(waggle, fake_gateway: FakeGateway, folder: Path) -> None:
    ran = waggle("ingest", str(folder), "missing.pdf")

    assert (ran.code, "Nothing was submitted." in ran.err) == (2, True)
    assert fake_gateway.requests == []


@pytest.mark.parametrize("arguments", [["nowhere"], ["--metadata", "topic", "."], []])
def test_wrong_usage_is_exit_code_two(waggle, fake_gateway: FakeGateway, arguments: list[str]) -> None:
    assert waggle("ingest", *arguments).code == 2
    assert fake_gateway.requests == []


def test_a_url_is_handed_to_the_gateway_beside_files(waggle, fake_gateway: FakeGateway, folder: Path) -> None:
    url = "https://docs.example.org/handbook.pdf"

    ran = waggle("ingest", "--json", "-m", "topic=bees", f"{url}#page=3", url, str(folder / "01.txt"))

    assert ran.code == 0
    items = json.loads(ran.out)["items"]
    assert sorted(item.get("url") or item["path"] for item in items) == sorted([url, str(folder / "01.txt")])
    (asked,) = [request for request in fake_gateway.requests if request.url.path == "/v1/documents/url"]
    assert json.loads(asked.content) == {
        "url": url, "document_id": document_of(url), "metadata": {"topic": "bees"}
    }  # fmt: skip


def test_a_url_that_is_refused_says_why(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.refusals = [problem(422, "url_not_allowed", "Documents are not fetched from inside.example.")]

    ran = waggle("ingest", "http://inside.example/")

    assert ran.code == 1
    assert "url_not_allowed: Documents are not fetched from inside.example." in ran.err.replace("\n", " ")


def test_what_is_no_url_is_wrong_usage(waggle, fake_gateway: FakeGateway) -> None:
    assert waggle("ingest", "http://docs.example:port/").code == 2
    assert fake_gateway.requests == []

"""From files to cited answers, with two replicas of embed, retrieve and generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cli.demo
from tests.e2e.waggle import Waggle

pytestmark = pytest.mark.timeout(1500)

SAMPLES = Path(cli.demo.__file__).parent / "documents"


@pytest.fixture(scope="module")
def samples(waggle: Waggle) -> list[dict[str, Any]]:
    """The sample documents, ingested."""
    items: list[dict[str, Any]] = waggle.json("ingest", str(SAMPLES))["items"]
    return items


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_every_sample_becomes_ready(samples: list[dict[str, Any]]) -> None:
    assert {item["state"] for item in samples} == {"ready"}
    assert all(item["chunks"] > 0 for item in samples)


def test_the_same_files_again_are_not_redone(waggle: Waggle, samples: list[dict[str, Any]]) -> None:
    again = waggle.json("ingest", str(SAMPLES))["items"]

    assert all(item["unchanged"] and item["version"] == 1 for item in again)


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("Why was the autumn threshold for treating varroa lowered?", None),
        ("How reliable are the swarm warnings of the S3 sensor?", None),
        ("草酸药液溅入眼睛应该怎么处理？", "oxalic-acid-safety-zh.docx"),
    ],
)
def test_an_answer_quotes_the_documents_exactly(waggle: Waggle, samples, question: str, name: str | None) -> None:
    answer = waggle.json("ask", question)

    assert answer["status"] == "completed"
    assert answer["citations"], answer
    assert name is None or name in {c["name"] for c in answer["citations"]}
    with waggle.http() as http:
        for citation in answer["citations"]:
            path = f"/v1/documents/{citation['document_id']}/text"
            text = http.get(path, params={"start": citation["start"], "end": citation["end"]})
            assert citation["quote"] in text.text


def test_an_answer_is_streamed_for_people_with_file_and_quote(waggle: Waggle, samples) -> None:
    said = waggle("ask", "蜂王浆为什么只在周一至周三发货？").stdout

    assert "[1]" in said
    assert "“" in said


def test_replicas_all_take_part(waggle: Waggle, samples) -> None:
    items = waggle.json("status")["items"]

    counted = [item["service"] for item in items]
    assert all(counted.count(service) == 2 for service in ("embed", "retrieve", "generate"))
    assert {item["state"] for item in items} == {"ready"}


def test_a_changed_file_is_a_new_version_and_the_old_text_is_gone(waggle: Waggle, tmp_path: Path) -> None:
    file = write(tmp_path, "hours.txt", "The honey shop in Quarrington opens at nine in the morning on weekdays.")
    first = waggle.json("ingest", str(file))["items"][0]
    assert "nine" in waggle.json("ask", "When does the honey shop in Quarrington open?")["answer"]

    write(tmp_path, "hours.txt", "The honey shop in Quarrington opens at eleven in the morning on weekdays.")
    second = waggle.json("ingest", str(file))["items"][0]

    assert (second["document_id"], second["version"]) == (first["document_id"], 2)
    assert "eleven" in waggle.json("ask", "When does the honey shop in Quarrington open?")["answer"]
    found = waggle.json("search", "honey shop Quarrington nine in the morning", "--document", first["document_id"])
    assert all("nine" not in passage["text"] for passage in found["passages"])


def test_questions_are_restricted_by_metadata(waggle: Waggle, tmp_path: Path) -> None:
    for year, lost in ((2019, "six"), (2021, "twelve"), (2023, "three")):
        file = write(tmp_path, f"{year}.txt", f"In the Threlkeld apiary {lost} hives were lost that winter.")
        waggle("ingest", str(file), "-m", f"year={year}", "-m", f"read={year + 1}-03-01", "-m", "path=reports/hives")

    def found(*filters: str) -> set[str]:
        options = [part for one in filters for part in ("--filter", one)]
        answer = waggle.json("search", "hives lost in the Threlkeld apiary", *options)
        return {passage["name"] for passage in answer["passages"]}

    assert found("year>=2020", "path^=reports/") == {"2021.txt", "2023.txt"}
    assert found("read<2022-03-01T00:00:01", "year=2021|2023") == {"2021.txt"}
    assert found("year>2019", "year<2021") == set()
    asked = waggle.json("ask", "How many hives were lost in the Threlkeld apiary?", "--filter", "year<2020")
    assert "six" in asked["answer"]
    assert "filters.metadata.path.prefix" in waggle("search", "x", "--filter", f"path^={'x' * 65}", code=2).stderr


def test_nothing_of_a_deleted_document_is_found(waggle: Waggle, tmp_path: Path) -> None:
    file = write(tmp_path, "secret.md", "# Vault\n\nThe combination of the Ebberston vault is 4417.")
    document_id = waggle.json("ingest", str(file))["items"][0]["document_id"]
    assert waggle.json("search", "Ebberston vault combination")["passages"][0]["document_id"] == document_id

    waggle("documents", "rm", document_id)

    found = waggle.json("search", "Ebberston vault combination", "--top-k", "50")["passages"]
    assert all(passage["document_id"] != document_id for passage in found)
    assert waggle.json("documents", "show", document_id)["state"] == "deleted"


def test_a_file_that_cannot_be_read_fails_with_advice_and_the_others_go_on(waggle: Waggle, tmp_path: Path) -> None:
    write(tmp_path, "good.txt", "Propolis is collected from tree buds.")
    write(tmp_path, "empty.txt", "")
    (tmp_path / "broken.pdf").write_bytes(b"PK\x03\x04 not a pdf at all" * 20)

    ran = waggle("ingest", str(tmp_path), code=1)

    assert "✓ good.txt" in ran.stderr
    assert "✗ empty.txt" in ran.stderr
    assert "empty_document" in ran.stderr
    assert "✗ broken.pdf" in ran.stderr


def test_a_question_that_the_documents_do_not_answer_is_said_so(waggle: Waggle, samples) -> None:
    answer = waggle.json("ask", "Who won the chess world championship in 1972?")

    assert not answer["answered"]
    assert answer["citations"] == []


def test_a_second_up_says_that_one_is_running(waggle: Waggle) -> None:
    ran = waggle("up", "--detach", "--port", "0", "--nats-port", "0", code=1)

    assert "already running" in ran.stderr
    assert waggle.url in ran.stderr


def test_the_fleet_is_told_live(waggle: Waggle) -> None:
    items = waggle.json("top", "--count", "1")["items"]

    assert {"embed-1", "embed-2"} <= {item["instance"] for item in items}


def test_logs_are_told_by_service(waggle: Waggle) -> None:
    assert "Server is ready" in waggle("logs", "nats").stdout


def test_the_doctor_finds_the_running_stack_well(waggle: Waggle) -> None:
    findings = {finding["check"]: finding for finding in waggle.json("doctor")["items"]}

    assert all(findings[check]["level"] == "ok" for check in ("broker", "jetstream", "sync_interval", "ports", "model"))


def test_simulated_traffic_is_tallied_and_cleaned_up(waggle: Waggle) -> None:
    rows = {row["kind"]: row for row in waggle.json("load", "--rate", "3", "--duration", "4", "--mix", "2:1")["items"]}

    assert rows["question"]["outcomes"] == {"ok": rows["question"]["sent"]}
    assert rows["ready"]["p50_ms"] > 0
    assert not [d for d in waggle.json("documents", "ls", "--limit", "0")["items"] if "load-" in d["document_id"]]

"""`waggle evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.gateways import FakeGateway


@pytest.fixture
def file(tmp_path: Path) -> Path:
    dataset = {
        "language": "en",
        "documents": [
            {"document_id": "d1", "name": "handbook.txt", "text": "Mites are counted every two weeks."},
            {"document_id": "d2", "name": "other.txt", "text": "Wax melts at 62 degrees."},
        ],
        "questions": [
            {"question": "How often are mites counted?", "document_id": "d1", "answers": ["every two weeks"]}
        ],
        "unanswerable": ["Who won?"],
    }
    path = tmp_path / "set.json"
    path.write_text(json.dumps(dataset), encoding="utf-8")
    return path


def deleted(gateway: FakeGateway) -> set[str]:
    return {r.url.path.rsplit("/", 1)[1] for r in gateway.requests if r.method == "DELETE"}


def test_figures_of_what_is_right_and_the_documents_are_taken_away(waggle, fake_gateway, file: Path) -> None:
    figures = json.loads(waggle("evaluate", str(file), "--json").out)

    assert (figures["language"], figures["questions"], figures["unanswerable"]) == ("en", 1, 1)
    assert (figures["hit_at_1"], figures["answer_holds_span"], figures["citations_exact"]) == (1.0, 1.0, 1.0)
    assert figures["unanswerable_recognised"] == 0.0
    assert deleted(fake_gateway) == {"d1", "d2"}


def test_documents_can_be_kept(waggle, fake_gateway, file: Path) -> None:
    ran = waggle("evaluate", str(file), "--keep")

    assert "hit at 1" in ran.out
    assert deleted(fake_gateway) == set()


def test_a_failed_document_ends_it_with_its_reason(waggle, fake_gateway, file: Path) -> None:
    fake_gateway.fates["other.txt"] = {"state": "failed", "failure": {"code": "empty_document", "message": "Empty."}}

    ran = waggle("evaluate", str(file))

    assert ran.code == 1
    assert "other.txt: Empty." in ran.err


@pytest.mark.parametrize("content", ["no json", "{}"])
def test_a_file_that_is_no_evaluation_is_wrong_usage(waggle, fake_gateway, tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")

    assert waggle("evaluate", str(tmp_path / "x.json")).code == 2


def test_documents_that_compete_are_warned_of(waggle, fake_gateway, file: Path) -> None:
    assert "Other documents" not in waggle("evaluate", str(file)).err
    fake_gateway.documents["mine"] = {"document_id": "mine", "name": "a", "version": 1, "state": "ready"}
    assert "Other documents" in waggle("evaluate", str(file)).err

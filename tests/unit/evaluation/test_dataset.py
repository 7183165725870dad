from __future__ import annotations

import json

import pytest

from cli.evaluation import DatasetError, load

DOCUMENT = {"document_id": "a", "name": "a.txt", "text": "Bees."}
QUESTION = {"question": "Who?", "document_id": "a", "answers": ["Bees"], "start": 0}


@pytest.fixture
def write(tmp_path):
    def write(**parts):
        file = tmp_path / "set.json"
        file.write_text(json.dumps({"language": "en", "documents": [DOCUMENT], **parts}), encoding="utf-8")
        return file

    return write


def test_a_file_is_read_and_what_it_says_besides_is_ignored(write):
    dataset = load(write(questions=[QUESTION], unanswerable=["Why?"]))
    assert dataset.questions[0].answers == ("Bees",)
    assert dataset.unanswerable == ("Why?",)
    assert dataset.documents[0].shown_name == "a.txt"


def test_paths_are_relative_to_the_folder_of_documents(write, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.pdf").write_bytes(b"%PDF")
    file = write(documents=[{"document_id": "b", "path": "b.pdf"}])
    document = load(file, documents=tmp_path / "docs").documents[0]
    assert document.path == tmp_path / "docs" / "b.pdf"
    assert document.shown_name == "b.pdf"


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"documents": [{"document_id": "b", "path": "gone.pdf"}]}, "not there"),
        ({"documents": [{"document_id": "b"}]}, "text or a path"),
        ({"documents": []}, "documents"),
        ({"questions": [{**QUESTION, "document_id": "z"}]}, "not included: z"),
        ({"questions": [{**QUESTION, "answers": []}]}, "questions.0.answers"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(write, parts, complaint):
    with pytest.raises(DatasetError, match=complaint):
        load(write(**parts))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"nothing\.json"):
        load(tmp_path / "nothing.json")

"""Which files are meant, and under which ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cli.uploading.files import FileSource, find
from contracts.identifiers import Token


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.md", "a.txt", "deep/c.html", ".git/config", "deep/.hidden", "说明 书.pdf"):
        file = tmp_path / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name, encoding="utf-8")
    return tmp_path / "docs"


def names(sources: list[FileSource]) -> list[str]:
    return [source.name for source in sources]


def test_a_folder_stands_for_the_visible_files_below_it(folder: Path) -> None:
    assert names(find([str(folder)])) == ["a.txt", "b.md", "deep/c.html", "说明 书.pdf"]


def test_globs_reach_into_folders(folder: Path) -> None:
    assert names(find([f"{folder}/**/*.html"])) == ["c.html"]


def test_a_file_that_is_meant_twice_is_taken_once(folder: Path) -> None:
    assert names(find([f"{folder}/a.txt", str(folder), f"{folder}/*.txt"])) == [
        "a.txt", "b.md", "deep/c.html", "说明 书.pdf",
    ]  # fmt: skip


def test_what_is_excluded_is_left_out(folder: Path) -> None:
    assert names(find([str(folder)], exclude=["*.md", "deep/*"])) == ["a.txt", "说明 书.pdf"]


def test_what_stands_for_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        find([f"{folder}/nothing-here"])


def test_a_file_whose_name_looks_like_a_glob_is_itself(tmp_path: Path) -> None:
    (tmp_path / "[1].txt").write_text("x", encoding="utf-8")

    assert names(find([str(tmp_path / "[1].txt")])) == ["[1].txt"]


def test_ids_are_tokens_whatever_the_file_is_called(folder: Path) -> None:
    for source in find([str(folder)]):
        TypeAdapter(Token).validate_python(source.document_id)


def test_the_same_path_has_the_same_id_however_it_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = find([str(folder / "a.txt")])[0]
    monkeypatch.chdir(folder.parent)

    assert find(["docs/a.txt"])[0].document_id == absolute.document_id


def test_different_paths_have_different_ids(folder: Path) -> None:
    ids = {source.document_id for source in find([str(folder)])}

    assert len(ids) == 4


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("nothing-here", "no such file or folder"),
        ("/dev/null", "no file that could be read to its end"),
        ("ftp://hive.example/a.pdf", "only addresses that begin with http:// or https:// are fetched"),
        (".", "holds no file"),
    ],
)
def test_what_stands_for_nothing_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=why):
        find([given])

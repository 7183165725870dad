"""Which rules are in force, whatever becomes of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from observability.alerting import RuleBook, RuleFiles, rule_book
from observability.rules import RuleFileError, RuleGroup, parse
from tests.unit.observability.alerting.groups import RULES

OTHER = RULES.replace("fleet", "other")
FAULTY = "groups:\n- name: fleet\n  rules:\n  - {alert: A, expr: 'load >'}\n"


def names(book: RuleBook) -> list[str]:
    return [f"{group.file} {group.name}" for group in book.groups]


class TestRuleBook:
    def test_groups_of_all_texts_are_in_force(self) -> None:
        book = RuleBook()

        assert book.take({"b": OTHER, "a": RULES})
        assert names(book) == ["a fleet", "b other"]
        assert book.successful

    def test_what_has_not_changed_is_the_same_and_no_change(self) -> None:
        book = RuleBook()
        book.take({"a": RULES, "b": OTHER})
        before = book.groups

        assert not book.take({"a": RULES, "b": OTHER})
        assert book.take({"a": RULES, "b": OTHER.replace("> 5", "> 6")})
        assert book.groups[0] is before[0]
        assert book.groups[1] is not before[1]

    def test_a_faulty_text_is_refused_whole_and_the_old_rules_go_on(self) -> None:
        book = RuleBook()
        book.take({"a": RULES, "b": OTHER})

        assert not book.take({"a": FAULTY, "b": OTHER})
        assert names(book) == ["a fleet", "b other"]
        assert [(fault.file, fault.line) for fault in book.faults] == [("a", 4)]
        assert not book.successful
        assert not book.take({"a": FAULTY, "b": OTHER})
        assert not book.successful, "it is still refused"
        assert not book.take({"a": RULES.replace("> 5", ">"), "b": OTHER})
        assert names(book) == ["a fleet", "b other"], "also after a second fault"
        assert book.take({"a": RULES, "b": OTHER}), "read anew, since who knows"
        assert book.successful

    def test_one_text_that_is_faulty_holds_up_no_other(self) -> None:
        book = RuleBook()

        assert book.take({"a": FAULTY, "b": OTHER})
        assert names(book) == ["b other"]

    def test_a_text_that_we_cannot_bear_takes_no_other_along(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def breaks(text: str, *, file: str) -> list[RuleGroup]:
            if file == "a":
                raise RecursionError
            return parse(text, file=file)

        monkeypatch.setattr(rule_book, "parse", breaks)
        book = RuleBook()

        assert book.take({"a": RULES, "b": OTHER})
        assert names(book) == ["b other"]
        assert str(book.faults[0]) == "a:1: cannot be read: RecursionError"

    def test_a_file_that_cannot_be_read_keeps_its_rules_and_one_that_is_gone_does_not(self) -> None:
        book = RuleBook()
        book.take({"a": RULES, "b": OTHER})

        assert not book.take({"a": RuleFileError([]), "b": OTHER})
        assert book.take({"a": RULES})
        assert names(book) == ["a fleet"]


class TestRuleFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "rules"
        (folder / "tests").mkdir(parents=True)
        for name in ("a.yaml", "b.yml", "notes.txt", "tests/t.yaml"):
            (folder / name).write_text(name, encoding="utf-8")
        return folder

    def test_the_yaml_files_of_a_folder_are_read_and_not_those_below(self, folder: Path) -> None:
        files = RuleFiles([("shipped", folder), (str(folder / "notes.txt"), folder / "notes.txt")])

        assert files.read() == {
            "shipped/a.yaml": "a.yaml",
            "shipped/b.yml": "b.yml",
            str(folder / "notes.txt"): "notes.txt",
        }

    def test_a_file_is_gone_when_it_is_missing_twice(self, folder: Path) -> None:
        files = RuleFiles([("ours", folder)])
        files.read()
        (folder / "a.yaml").unlink()

        assert set(files.read()) == {"ours/a.yaml", "ours/b.yml"}
        assert set(files.read()) == {"ours/b.yml"}

    def test_the_files_of_a_folder_that_cannot_be_read_are_not_gone(self, folder: Path) -> None:
        files = RuleFiles([("ours", folder)])
        files.read()
        folder.rename(folder.with_name("elsewhere"))

        for _ in range(3):
            found = files.read()
            assert set(found) == {"ours", "ours/a.yaml", "ours/b.yml"}
            assert all(isinstance(text, RuleFileError) for text in found.values())

    def test_what_is_no_text_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
        found = RuleFiles([("ours", tmp_path)]).read()["ours/odd.yaml"]

        assert isinstance(found, RuleFileError)
        assert str(found).startswith("ours/odd.yaml:1: cannot be read")

"""Prompt templates: read, checked, versioned."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import PermanentError
from workers.generate.chat.template import DEFAULT, NO_ANSWER, PromptTemplate, fill
from workers.text.scripts import Script


def test_the_templates_of_this_release_tell_models_how_to_say_that_there_is_no_answer() -> None:
    template = PromptTemplate.read()
    for script in Script:
        assert NO_ANSWER in template.wording(script).system
    assert template.version.startswith("waggle-1@")


def test_the_version_changes_with_every_change_of_the_file(tmp_path: Path) -> None:
    changed = tmp_path / "prompts.toml"
    changed.write_text(DEFAULT.read_text(encoding="utf-8") + "\n# a remark\n", encoding="utf-8")
    first, second = PromptTemplate.read(), PromptTemplate.read(changed)
    assert first.version != second.version
    assert first.version.partition("@")[0] == second.version.partition("@")[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("$passages\n\nQuestion: $question", "Question: $question", r"alphabetic\.question: must hold \$passages"),
        ("Question: $question", "Question: $question $extra", r"must hold \$passages, \$question"),
        ('name = "waggle-1"', "", r"name:"),
        ('name = "waggle-1"', 'name = "a b"', r"name:"),
        ("[han]", "[klingon]", r"klingon"),
        ("[han]", "[han", "cannot be read"),
        ("Question: $question", "Question: $question $1", "must begin a name"),
        ("passage = ", "passages = ", "passage"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    text = DEFAULT.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "prompts.toml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PermanentError, match=complaint) as refused:
        PromptTemplate.read(broken)
    assert "WAGGLE_PROMPT_FILE" in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="WAGGLE_PROMPT_FILE"):
        PromptTemplate.read(tmp_path / "none.toml")


def test_values_are_never_taken_for_names() -> None:
    assert fill("$text, $name", text="$name ${x} $$", name="n") == "$name ${x} $$, n"

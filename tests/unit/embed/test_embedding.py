"""From chunks to rows, with an encoder and an index of a few lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from contracts.documents import Chunk, EmbedRequest
from contracts.errors import ErrorCode, PermanentError
from messaging.breaker import Breaker, BreakerState
from messaging.errors import BackendAwayError
from workers.embed.embedding import Embedding, Work, digest_of, passage_of
from workers.embed.guarded_encoder import PLAIN, GuardedEncoder, require_plain
from workers.encoding.base import Passage, PassageEmbedding
from workers.indexing.base import Row


def chunk(text: str, *, ordinal: int = 0, heading: str | None = None) -> Chunk:
    spans = ((0, len(text)),)
    return Chunk(ordinal=ordinal, text=text, start=0, end=len(text), page=7, heading=heading, sentences=spans)


def work(document_id: str, *texts: str, has_earlier: bool = False) -> Work:
    chunks = tuple(chunk(text, ordinal=i) for i, text in enumerate(texts))
    request = EmbedRequest(
        document_id=document_id, generation="g", plan_id="a" * 64, batch=0, name=f"{document_id}.txt", chunks=chunks
    )
    return Work(request=request, has_earlier=has_earlier)


def embedding(passage: Passage) -> PassageEmbedding:
    return PassageEmbedding(vector=np.ones(4, np.float32), sentences=np.ones((len(passage.sentences), 4), np.float32))


class Encoder:
    def __init__(self, *, bad: str = "bad", broken: bool = False) -> None:
        self.calls: list[list[str]] = []
        self._bad = bad
        self._broken = broken

    async def encode(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        self.calls.append([passage.text for passage in passages])
        failed = [self._broken or self._bad in passage.text for passage in passages]
        return [ValueError("no") if bad else embedding(p) for p, bad in zip(passages, failed, strict=True)]


class Index:
    def __init__(
        self,
        known: dict[str, PassageEmbedding] | None = None,
        *,
        refuses: str = "\x00",
        refusal: Exception | None = None,
    ) -> None:
        self.rows: list[Row] = []
        self._known = known or {}
        self._refuses = refuses
        self._refusal = refusal or OverflowError("too large")

    async def upsert(self, rows: Sequence[Row]) -> None:
        if any(self._refuses in row.text for row in rows):
            raise self._refusal
        self.rows += rows

    async def embeddings(self, tenant: str, document_id: str, digests: Sequence[str]) -> dict[str, PassageEmbedding]:
        return {key: self._known[key] for key in digests if key in self._known}


async def test_chunks_of_all_requests_are_encoded_in_one_call() -> None:
    encoder, index = Encoder(), Index()
    await Embedding(encoder, index).embed([work("a", "one", "two"), work("b", "three")])
    assert encoder.calls == [["one", "two", "three"]]
    assert [(row.document_id, row.ordinal) for row in index.rows] == [("a", 0), ("a", 1), ("b", 0)]


async def test_a_chunk_that_cannot_be_encoded_ends_its_request_only() -> None:
    index = Index()
    works = [work("a", "one"), work("b", "fine", "bad"), work("c", "three")]
    await Embedding(Encoder(), index).embed(works)
    assert {row.document_id for row in index.rows} == {"a", "c"}
    assert [w.error is None for w in works] == [True, False, True]
    assert works[1].error is not None
    assert works[1].error.code is ErrorCode.ENCODING_FAILED
    assert "b.txt (page 7)" in str(works[1].error)


async def test_an_encoder_that_fails_on_everything_is_not_the_documents_fault() -> None:
    encoder = Encoder(broken=True)
    breaker = Breaker("encoder", lambda: require_plain(encoder))
    with pytest.raises(BackendAwayError, match="everything"):
        await Embedding(GuardedEncoder(encoder, breaker), Index()).embed([work("a", "one")])
    assert encoder.calls[-1] == [PLAIN.text]


async def test_a_text_that_an_encoder_fails_on_does_not_open_its_breaker() -> None:
    encoder = Encoder()
    breaker = Breaker("encoder", lambda: require_plain(encoder))
    works = [work("a", "bad")]
    await Embedding(GuardedEncoder(encoder, breaker), Index()).embed(works)
    assert works[0].error is not None
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize("refusal", [OverflowError("too large"), PermanentError("invalid value")])
async def test_a_row_that_the_index_refuses_ends_its_request_only(refusal: Exception) -> None:
    index = Index(refuses="huge", refusal=refusal)
    works = [work("a", "one"), work("b", "huge"), work("c", "three")]
    await Embedding(Encoder(), index).embed(works)
    assert {row.document_id for row in index.rows} == {"a", "c"}
    assert works[1].error is not None


async def test_known_embeddings_are_reused_only_where_there_may_be_some() -> None:
    known = {digest_of(chunk("one")): embedding(passage_of(chunk("one")))}
    encoder = Encoder()
    await Embedding(encoder, Index(known)).embed([work("a", "one", "two", has_earlier=True), work("b", "one")])
    assert encoder.calls == [["two", "one"]]


async def test_an_embedding_of_other_sentences_is_not_reused() -> None:
    stale = PassageEmbedding(vector=np.ones(4, np.float32), sentences=np.ones((3, 4), np.float32))
    encoder = Encoder()
    await Embedding(encoder, Index({digest_of(chunk("one")): stale})).embed([work("a", "one", has_earlier=True)])
    assert encoder.calls == [["one"]]


def test_headings_are_encoded_above_the_text_and_sentences_move_along() -> None:
    passage = passage_of(chunk("Bees dance.", heading="Bees › Dances"))
    (start, end), *_ = passage.sentences
    assert passage.text == "Bees › Dances\nBees dance."
    assert passage.text[start:end] == "Bees dance."


def test_the_digest_tells_texts_headings_and_sentences_apart() -> None:
    plain = chunk("text")
    variants = [plain, chunk("other"), chunk("text", heading="h"), plain.model_copy(update={"sentences": ((0, 2),)})]
    assert len({digest_of(variant) for variant in variants}) == 4
    assert digest_of(plain) == digest_of(plain.model_copy(update={"ordinal": 5, "start": 9, "page": None}))

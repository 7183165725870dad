"""An encoder that is served over HTTP, for real: the packaged model behind `/v1/embeddings`."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from contracts.model_settings import EncoderKind, EncoderSettings
from tests.engines.test_encoder import TEXTS
from tests.support.model_servers import ModelServer, embeddings
from tests.unit.encoding.embedder_contract import SENTENCES, TEXT, EmbedderContract, encoded
from workers.encoding.base import Embedder, Passage, Vector
from workers.encoding.factory import build_embedder
from workers.encoding.models import folder_of
from workers.encoding.openai import OpenAiEmbedder


@pytest.fixture(scope="module")
def library() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder_of("all-MiniLM-L6-v2")), device="cpu")


@pytest.fixture(scope="module")
def server(library: Any) -> Iterator[ModelServer]:
    one_at_a_time = threading.Lock()

    def encode(texts: Sequence[str]) -> Vector:
        with one_at_a_time:
            vectors: Vector = library.encode(list(texts), show_progress_bar=False)
        return 3 * vectors  # not of length one, as of some servers

    with ModelServer.running(embeddings(encode)) as server:
        yield server


@pytest.fixture(scope="module")
def served(server: ModelServer) -> Iterator[Embedder]:
    embedder = build_embedder(
        EncoderSettings(
            encoder=EncoderKind.OPENAI,
            encoder_model="sentence-transformers/all-MiniLM-L6-v2",
            encoder_endpoints=server.url,
        )
    )
    assert isinstance(embedder, OpenAiEmbedder)
    yield embedder
    embedder.close()


@pytest.fixture(scope="module")
def local() -> Embedder:
    return build_embedder(EncoderSettings(encoder_precision="float32"))


class TestServedModel(EmbedderContract):
    @pytest.fixture
    def embedder(self, served: Embedder) -> Embedder:
        return served


def test_vectors_are_those_of_the_model_in_the_process(served: Embedder, local: Embedder) -> None:
    passages = [Passage(text=text) for text in TEXTS]
    pairs = zip(served.encode_passages(passages), local.encode_passages(passages), strict=True)
    assert min(float(encoded(a).vector @ encoded(b).vector) for a, b in pairs) >= 0.999
    assert (served.encode_questions(TEXTS[:3]) * local.encode_questions(TEXTS[:3])).sum(axis=1).min() >= 0.999


def test_an_index_of_one_may_be_searched_with_the_other(served: Embedder, local: Embedder) -> None:
    assert served.identity == local.identity
    assert served.scripts == local.scripts


def test_sentences_tell_the_same_of_a_question(served: Embedder, local: Embedder) -> None:
    passage, question = Passage(text=TEXT, sentences=SENTENCES), "Which angle is the direction?"
    for embedder in (served, local):
        sentences = encoded(embedder.encode_passages([passage])[0]).sentences
        assert int(np.argmax(sentences[:2] @ embedder.encode_questions([question])[0])) == 1

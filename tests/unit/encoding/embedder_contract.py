"""What every `Embedder` must do. An adapter's test class inherits it and provides `embedder`."""

from __future__ import annotations

import numpy as np
import pytest

from workers.encoding.base import Embedder, Passage, PassageEmbedding

TEXT = "Bees dance on the comb. The angle tells the direction. 蜜蜂通过舞蹈传递信息。"
SENTENCES = ((0, 23), (24, 54), (55, len(TEXT)))


def encoded(outcome: PassageEmbedding | Exception) -> PassageEmbedding:
    assert isinstance(outcome, PassageEmbedding)
    return outcome


class EmbedderContract:
    """Order kept, vectors of length one, sentences from the same pass, errors where they belong."""

    def test_passages_come_back_in_order_as_unit_vectors(self, embedder: Embedder) -> None:
        passages = [Passage(text=f"{'word ' * length}{length}") for length in (40, 1, 7, 120, 3)]
        together = [encoded(outcome).vector for outcome in embedder.encode_passages(passages)]
        alone = [encoded(embedder.encode_passages([passage])[0]).vector for passage in passages]
        for vector, reference in zip(together, alone, strict=True):
            assert (vector.shape, str(vector.dtype)) == ((embedder.identity.dimension,), "float32")
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
            assert float(vector @ reference) > 0.9999

    def test_every_sentence_has_a_unit_vector(self, embedder: Embedder) -> None:
        (outcome,) = embedder.encode_passages([Passage(text=TEXT, sentences=SENTENCES)])
        sentences = encoded(outcome).sentences
        assert (sentences.shape, str(sentences.dtype)) == ((3, embedder.identity.dimension), "float32")
        assert np.linalg.norm(sentences, axis=1) == pytest.approx(1, abs=1e-5)

    def test_a_passage_without_sentences_has_none(self, embedder: Embedder) -> None:
        (outcome,) = embedder.encode_passages([Passage(text=TEXT)])
        assert encoded(outcome).sentences.shape == (0, embedder.identity.dimension)

    def test_nothing_to_encode_is_nothing(self, embedder: Embedder) -> None:
        assert embedder.encode_passages([]) == []
        assert embedder.encode_questions([]).shape == (0, embedder.identity.dimension)

    def test_questions_are_unit_vectors_in_order(self, embedder: Embedder) -> None:
        questions = ["Why do bees dance?", "x", "蜜蜂为什么跳舞？"]
        vectors = embedder.encode_questions(questions)
        assert (vectors.shape, str(vectors.dtype)) == ((3, embedder.identity.dimension), "float32")
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert float(vectors[2] @ embedder.encode_questions(questions[2:])[0]) > 0.9999

    @pytest.mark.parametrize("text", ["\x00", "\u200b", "🐝" * 50, "a" * 5000, "\ud800 lone surrogate", " "])
    def test_odd_texts_do_not_harm_their_neighbours(self, embedder: Embedder, text: str) -> None:
        passages = [Passage(text=TEXT), Passage(text=text, sentences=((0, len(text)),)), Passage(text=TEXT)]
        first, odd, last = embedder.encode_passages(passages)
        np.testing.assert_allclose(encoded(first).vector, encoded(last).vector, atol=1e-4)
        assert isinstance(odd, Exception) or np.isfinite(odd.vector).all()

    def test_tokens_are_counted_unless_only_a_server_knows_them(self, embedder: Embedder) -> None:
        one, two = embedder.count_tokens(["Why do bees dance?"]), embedder.count_tokens(["Why do bees dance?", "x"])
        if one is None:
            assert two is None
        else:
            assert two is not None
            assert 4 <= one < two <= one + 4

    def test_identity_and_scripts_are_told(self, embedder: Embedder) -> None:
        assert embedder.identity.model
        assert embedder.identity.dimension > 0
        assert all(script == script.lower() for script in embedder.scripts)

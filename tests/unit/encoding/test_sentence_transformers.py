"""The encoder around a model: order, splitting, pooling, prefixes; the model itself is a fake."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from contracts.errors import PermanentError, TransientError
from tests.unit.encoding.embedder_contract import encoded
from tests.unit.encoding.fakes import LetterModel
from workers.encoding.base import Passage
from workers.encoding.models import ModelProfile
from workers.encoding.sentence_transformers import SentenceTransformerEmbedder
from workers.encoding.token_model import Tokens, normalised


def embedder(
    model: LetterModel, *, batch_tokens: int = 64, profile: ModelProfile | None = None
) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(
        model, name="letters", profile=profile or ModelProfile(), batch_tokens=batch_tokens
    )


def test_a_text_at_fault_yields_its_error_and_all_others_their_vectors() -> None:
    model = LetterModel(fails_on="!")
    outcomes = embedder(model, batch_tokens=1024).encode_passages(
        [Passage(text=text) for text in ("a", "b", "c!", "d", "e", "f", "g", "h")]
    )
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [i == 2 for i in range(8)]
    assert [int(np.argmax(encoded(o).vector)) for o in outcomes[3:]] == [ord(c) for c in "defgh"]


def test_finding_the_text_at_fault_takes_a_logarithm_of_calls() -> None:
    model = LetterModel(fails_on="!")
    embedder(model, batch_tokens=1024).encode_passages([Passage(text="!" if i == 5 else "a") for i in range(16)])
    assert len(model.calls) == 1 + 2 * 4


def test_a_vector_that_is_not_finite_is_an_error() -> None:
    (bad, good) = embedder(LetterModel(not_finite_on="!")).encode_passages([Passage(text="!"), Passage(text="a")])
    assert isinstance(bad, ValueError)
    assert encoded(good).vector[ord("a")] == 1


def test_calls_stay_within_the_token_bound() -> None:
    model = LetterModel()
    embedder(model, batch_tokens=10).encode_passages([Passage(text="a" * length) for length in (5, 5, 2, 2, 2, 30)])
    assert sorted(model.calls) == [1, 2, 3]


def test_a_sentences_vector_is_the_mean_of_its_own_tokens() -> None:
    (outcome,) = embedder(LetterModel()).encode_passages([Passage(text="aab.c", sentences=((0, 3), (4, 5)))])
    sentences = encoded(outcome).sentences
    assert sentences[0, ord("a")] == pytest.approx(2 * sentences[0, ord("b")])
    assert sentences[1, ord("c")] == 1


def test_a_sentence_that_the_model_did_not_see_is_zero() -> None:
    (outcome,) = embedder(LetterModel()).encode_passages([Passage(text="ab", sentences=((0, 2), (2, 9)))])
    assert np.linalg.norm(encoded(outcome).sentences, axis=1) == pytest.approx([1, 0])


def test_prefixes_are_encoded_but_do_not_shift_sentences() -> None:
    profile = ModelProfile(passage_prefix="pp", question_prefix="qq")
    one = embedder(LetterModel(), profile=profile)
    (outcome,) = one.encode_passages([Passage(text="ab", sentences=((0, 1), (1, 2)))])
    assert encoded(outcome).vector[ord("p")] > 0
    assert encoded(outcome).sentences[0, ord("a")] == 1
    assert encoded(outcome).sentences[1, ord("b")] == 1
    assert one.encode_questions(["x"])[0, ord("q")] > 0


@pytest.mark.parametrize("model", [LetterModel(fails_on="!"), LetterModel(not_finite_on="!")])
def test_a_question_that_cannot_be_encoded_is_at_fault_itself(model: LetterModel) -> None:
    with pytest.raises(PermanentError, match="put it in other words"):
        embedder(model).encode_questions(["a", "!"])


@pytest.mark.parametrize("model", [LetterModel(fails_on="e"), LetterModel(not_finite_on="e")])
def test_no_question_is_at_fault_where_not_even_a_plain_sentence_can_be_encoded(model: LetterModel) -> None:
    with pytest.raises(TransientError, match="fails on everything"):
        embedder(model).encode_questions(["bee"])


def test_half_a_character_is_encoded_as_the_sign_for_that() -> None:
    seen = list[str]()

    class Listening(LetterModel):
        def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
            seen.extend(texts)
            return super().tokenize(["x"] * len(texts))

    embedder(Listening()).encode_passages([Passage(text="bee \ud800")])
    assert seen == ["bee \ufffd"]


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_vectors_have_length_one_however_large_or_small_their_numbers_are(size: float) -> None:
    vectors = normalised(np.array([[3 * size, 4 * size], [0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(vectors, [[0.6, 0.8], [0.0, 0.0]], rtol=1e-5)

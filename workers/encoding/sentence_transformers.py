"""Encoder on sentence-transformers models: passages, their sentences and questions from one model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from contracts.errors import ErrorCode, PermanentError, TransientError
from workers.encoding.base import EncoderIdentity, Passage, PassageEmbedding, Vector
from workers.encoding.micro_batches import micro_batches
from workers.encoding.models import ModelProfile
from workers.encoding.token_model import Encoded, TokenModel, Tokens, normalised, pool_spans
from workers.text.surrogates import sendable

PLAIN = "Every encoder can take this sentence."

S = TypeVar("S")
T = TypeVar("T")


class SentenceTransformerEmbedder:
    """An `Embedder` over a `TokenModel`.

    Texts are tokenised once and encoded in calls of at most `batch_tokens` tokens, padding included. When a call
    fails it is split in two until the text at fault stands alone; that text yields its error, all others their vectors.
    """

    def __init__(self, model: TokenModel, *, name: str, profile: ModelProfile, batch_tokens: int) -> None:
        self._model = model
        self._profile = profile
        self._batch_tokens = batch_tokens
        self._identity = EncoderIdentity(
            model=name, dimension=model.dimension, passage_prompt=profile.passage_prefix, precision=model.precision
        )

    @property
    def identity(self) -> EncoderIdentity:
        return self._identity

    @property
    def scripts(self) -> frozenset[str]:
        return self._profile.scripts

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        prefix = self._profile.passage_prefix

        def embedding(position: int, tokens: Tokens, encoded: Encoded) -> PassageEmbedding:
            pooled = pool_spans(tokens, encoded.states, passages[position].sentences, shift=len(prefix))
            return PassageEmbedding(
                vector=normalised(encoded.vector), sentences=normalised(self._model.project(pooled))
            )

        return self._encode([prefix + passage.text for passage in passages], embedding)

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        """(n, d) float32, L2-normalised.

        Raises `PermanentError` for the first question that cannot be encoded, `TransientError` when nothing can.
        """

        def vector(_position: int, _tokens: Tokens, encoded: Encoded) -> Vector:
            return normalised(encoded.vector)

        vectors = []
        for row in self._encode([self._profile.question_prefix + question for question in questions], vector):
            if isinstance(row, Exception):
                raise self._judged(row) from row
            vectors.append(row)
        return np.stack(vectors) if vectors else np.zeros((0, self._identity.dimension), dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Those that a text begins and ends with are among them; what is put before it is not. One that has no tokens counts none."""
        return sum(0 if isinstance(tokens, Exception) else len(tokens) for tokens in self._tokenize(texts))

    def close(self) -> None:
        """The model goes with the process."""

    def _judged(self, error: Exception) -> Exception:
        """Whether the question is at fault, or the model fails on all: then questions are to wait."""
        (plain,) = self._forward(self._model.tokenize([PLAIN]))
        if isinstance(plain, Exception):
            return TransientError(f"the encoder fails on everything: {plain}", code=ErrorCode.ENCODING_FAILED)
        return PermanentError(
            f"the encoder cannot take this question ({error}): put it in other words", code=ErrorCode.ENCODING_FAILED
        )

    def _encode(self, texts: Sequence[str], finish: Callable[[int, Tokens, Encoded], T]) -> list[T | Exception]:
        rows: dict[int, T | Exception] = {}
        tokenised: dict[int, Tokens] = {}
        for position, tokens in enumerate(self._tokenize(texts)):
            if isinstance(tokens, Exception):
                rows[position] = tokens
            else:
                tokenised[position] = tokens
        positions = list(tokenised)
        for group in micro_batches([len(t) for t in tokenised.values()], most_tokens=self._batch_tokens):
            members = [positions[i] for i in group]
            outcomes = self._forward([tokenised[i] for i in members])
            for position, outcome in zip(members, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    rows[position] = outcome
                else:
                    rows[position] = finish(position, tokenised[position], outcome)
        return [rows[position] for position in range(len(texts))]

    def _tokenize(self, texts: Sequence[str]) -> list[Tokens | Exception]:
        return _split_on_failure([sendable(text) for text in texts], self._model.tokenize)

    def _forward(self, batch: Sequence[Tokens]) -> list[Encoded | Exception]:
        return _split_on_failure(batch, lambda part: [_finite(encoded) for encoded in self._model.forward(part)])


def _split_on_failure(
    items: Sequence[S], call: Callable[[Sequence[S]], Sequence[T | Exception]]
) -> list[T | Exception]:
    """`call` over all items at once; if it raises, over each half, down to the single item that is at fault."""
    if not items:
        return []
    try:
        return list(call(items))
    except Exception as error:  # noqa: BLE001  # whatever a model raises is the item's outcome, handed to the caller
        if len(items) == 1:
            return [error]
    middle = len(items) // 2
    return [*_split_on_failure(items[:middle], call), *_split_on_failure(items[middle:], call)]


def _finite(encoded: Encoded) -> Encoded | Exception:
    if np.isfinite(encoded.vector).all() and encoded.vector.any():
        return encoded
    return ValueError("the model returned numbers that mean nothing")

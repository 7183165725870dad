"""The model under the encoder: tokens in, a passage vector and token states out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contracts.errors import PermanentError
from workers.encoding.base import Span, Vector


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """A tokenised text, cut to what the model can take.

    `ids`: (t,) int64. `offsets`: (t, 2) int64, the characters each token stands for; empty for special tokens.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """`vector`: (d,) float32, not yet normalised. `states`: (t, h) float32, one row per token."""

    vector: Vector
    states: Vector


class TokenModel(Protocol):
    """A model that encodes what fits into one call."""

    @property
    def dimension(self) -> int: ...

    @property
    def precision(self) -> str:
        """What it computes in, as torch names it: `float32`, `bfloat16`."""
        ...

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]: ...

    def forward(self, batch: Sequence[Tokens]) -> list[Encoded]:
        """One call of the model. Raises whatever the model raises; the caller splits the batch."""
        ...

    def project(self, pooled: Vector) -> Vector:
        """What the model does after pooling, for (s, h) pooled token states: (s, d)."""
        ...

    def in_bfloat16(self) -> TokenModel:
        """A copy that computes in reduced precision; what it returns is float32 all the same."""
        ...


def require_room(max_tokens: int | None, *, room: int) -> None:
    """Raises `PermanentError` when texts are to be cut where the model has long ended."""
    if max_tokens is not None and max_tokens > room:
        raise PermanentError(
            f"the encoder's model takes {room} tokens at most: set WAGGLE_ENCODER_MAX_TOKENS to {room} or less"
        )


def pool_spans(tokens: Tokens, states: Vector, spans: Sequence[Span], *, shift: int = 0) -> Vector:
    """(s, h): the mean state of the tokens that end within each span; zero for a span the model did not see.

    `shift` is the length of what was put before the text (a prefix that the model wants). The end decides, because
    some tokenizers count the space before a word to its token.
    """
    ends = np.where(tokens.offsets[:, 1] > tokens.offsets[:, 0], tokens.offsets[:, 1] - shift, -1)
    bounds = np.asarray(spans, dtype=np.int64).reshape(-1, 2)
    members = ((ends > bounds[:, :1]) & (ends <= bounds[:, 1:])).astype(np.float32)
    counts = np.maximum(members.sum(axis=1, keepdims=True), 1.0)
    pooled: Vector = (members @ states) / counts
    return pooled


def normalised(vectors: Vector) -> Vector:
    """Rows of length one; rows of zeros stay zero."""
    wide = vectors.astype(np.float64)  # squares of what float32 can hold may be more, or less, than it can
    lengths = np.linalg.norm(wide, axis=-1, keepdims=True)
    scaled: Vector = (wide / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return scaled

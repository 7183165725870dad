"""The edge between text and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Span = tuple[int, int]
"""A half-open character range `[start, end)`."""


@dataclass(frozen=True, kw_only=True)
class EncoderIdentity:
    """What must agree between everything that writes and everything that searches one index.

    These decide where in space a passage lies. What only blurs it a little may differ between the hosts of one fleet:
    where long texts are cut, who computes the model, and the precision (cosine >= 0.999), which is told and not compared.
    The prompt of questions is not in the index at all.
    """

    model: str
    dimension: int
    passage_prompt: str = ""
    precision: str = field(default="", compare=False)
    """`float32` or `bfloat16`; empty where a server does not say."""


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A text to encode, with the spans of its sentences (may be empty)."""

    text: str
    sentences: tuple[Span, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PassageEmbedding:
    """`vector`: (d,) float32, L2-normalised. `sentences`: (s, d) float32, L2-normalised, one row per sentence span.

    Where the model is at hand sentence vectors come from the same pass as the passage's (token states pooled per span);
    a server of vectors encodes each sentence as a text of its own. A sentence that lies beyond what the model can take
    has a row of zeros: its similarity to anything is 0. Rows of zeros alone: the sentences were not encoded.
    """

    vector: Vector
    sentences: Vector


class Embedder(Protocol):
    """Encodes passages and questions. Not thread-safe: one per process, called from one thread."""

    @property
    def identity(self) -> EncoderIdentity: ...

    @property
    def scripts(self) -> frozenset[str]:
        """The scripts (`latin`, `han`, …) in which the encoder finds meaning; `all` stands for every one."""
        ...

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        """Encode in token-bounded calls, in order. A passage that cannot be encoded yields its error in its place."""
        ...

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        """(n, d) float32, L2-normalised."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> int | None:
        """How many tokens the model reads of the texts, cut where it cuts; None where that is known to a server only."""
        ...

    def close(self) -> None:
        """Let go of what it holds; it is not used any more."""
        ...

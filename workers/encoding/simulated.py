"""An encoder that only takes time, for load and scaling measurements. Its vectors mean nothing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from workers.encoding.base import EncoderIdentity, Passage, PassageEmbedding, Vector

DIMENSION = 384


class SimulatedEmbedder:
    """Takes a fixed time per call, however much is encoded, and derives a vector from each text's digest.

    Equal texts have equal vectors, all others are as good as random. Claims no script, so searches rely on keywords.
    """

    def __init__(self, *, call_s: float = 0.0, dimension: int = DIMENSION) -> None:
        self._call_s = call_s
        self._identity = EncoderIdentity(model="simulated", dimension=dimension, precision="float32")

    @property
    def identity(self) -> EncoderIdentity:
        return self._identity

    @property
    def scripts(self) -> frozenset[str]:
        return frozenset()

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        time.sleep(self._call_s)
        return [
            PassageEmbedding(
                vector=self._vector(passage.text),
                sentences=self._vectors([passage.text[start:end] for start, end in passage.sentences]),
            )
            for passage in passages
        ]

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        time.sleep(self._call_s)
        return self._vectors(questions)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """A word is a token."""
        return sum(len(text.split()) for text in texts)

    def close(self) -> None:
        """It holds nothing."""

    def _vectors(self, texts: Sequence[str]) -> Vector:
        if not texts:
            return np.zeros((0, self._identity.dimension), dtype=np.float32)
        return np.stack([self._vector(text) for text in texts])

    def _vector(self, text: str) -> Vector:
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
        vector = np.random.default_rng(seed).standard_normal(self._identity.dimension).astype(np.float32)
        unit: Vector = vector / np.linalg.norm(vector)
        return unit

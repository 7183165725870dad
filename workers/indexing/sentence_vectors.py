"""Sentence vectors as bytes: a quarter of their size, and the same bytes when they are read and stored again."""

from __future__ import annotations

import numpy as np

from workers.encoding.base import Vector

_STEPS = 127.0


def pack(vectors: Vector) -> bytes:
    """(s, d) float32, L2-normalised, as (s, d) int8: each row scaled so that its largest component is 127.

    The scale need not be kept, since the rows have length one. For 384 dimensions the cosine of a row to what
    `unpack` gives back is above 0.999.
    """
    largest = np.abs(vectors).max(axis=-1, keepdims=True, initial=0.0)
    return np.rint(vectors * (_STEPS / np.where(largest > 0, largest, 1.0))).astype(np.int8).tobytes()


def unpack(data: bytes, *, dimension: int) -> Vector:
    """(s, d) float32, L2-normalised; rows of zeros stay zero."""
    steps = np.frombuffer(data, dtype=np.int8).reshape(-1, dimension).astype(np.float32)
    lengths = np.linalg.norm(steps, axis=1, keepdims=True)
    vectors: Vector = (steps / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    return vectors

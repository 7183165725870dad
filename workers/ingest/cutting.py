"""The parameters that a document is cut up by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cutting:
    """How a document is cut up; other values make another plan.

    A batch holds at most `batch_chunks` chunks and `batch_bytes` of JSON, unless a single chunk is longer than that.
    Small batches keep what an embed worker has in hand small enough to be finished when it is told to stop.
    """

    chunk_tokens: int
    overlap_tokens: int
    batch_chunks: int = 16
    batch_bytes: int = 160 * 1024

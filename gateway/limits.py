"""What one request may cost. Sizes are bytes, times seconds."""

from __future__ import annotations

from dataclasses import dataclass

KiB = 1024
MiB = 1024 * KiB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of request bodies, streams and waits; tests pass shorter ones.

    A body must bring `progress_bytes` in every `silence_s` spent waiting for it, so silence and a slow drip are cut
    alike. JSON bodies are parsed whole, hence their own limits and a bound on how much of them is in hand at once.
    """

    upload_max_bytes: int = 100 * MiB
    files_per_request: int = 1000
    fields_per_request: int = 16
    fetches_at_once: int = 16
    field_bytes: int = 64 * KiB
    query_bytes: int = 64 * KiB
    conversation_bytes: int = 1 * MiB
    embeddings_bytes: int = 4 * MiB
    embeddings_sent_s: float = 60.0
    texts_in_hand: int = 16 * KiB
    encoders_patience_s: float = 5.0
    json_document_bytes: int = 12 * MiB
    json_in_hand_bytes: int = 32 * MiB
    json_depth: int = 16
    json_strings: int = 8 * KiB
    json_structure_bytes: int = 32 * KiB
    silence_s: float = 25.0
    progress_bytes: int = 4 * KiB
    stream_keepalive_s: float = 15.0
    stream_retry_ms: int = 500
    resume_grace_s: float = 2.0
    unknown_query_wait_s: float = 1.0
    unknown_query_poll_s: float = 0.05
    deadline_grace_s: float = 1.5
    ledger_poll_s: float = 2.0
    catch_up_s: float = 2.0
    backlog_poll_s: float = 0.5

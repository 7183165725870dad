"""Builds the encoder that the settings name. Heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import os

from contracts.settings import EncoderKind, EncoderSettings
from workers.encoding.base import Embedder


def build_embedder(settings: EncoderSettings, *, default_threads: int | None = None) -> Embedder:
    """The encoder of this process; takes seconds for a real model. One per process.

    `default_threads` holds unless the settings say otherwise; None stands for every core of this process. Raises
    `PermanentError` when the model cannot be loaded.
    """
    if settings.encoder is EncoderKind.SIMULATED:
        from workers.encoding.simulated import SimulatedEmbedder

        return SimulatedEmbedder(call_s=settings.encoder_simulated_ms / 1000)
    # Waiting threads sleep instead of spinning. On cores that others use too (several workers on one host) an encoder
    # is 2.5 times faster this way and takes a third of the cpu time. OpenMP reads it when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from workers.encoding.loading import load

    threads = settings.encoder_threads or default_threads or len(os.sched_getaffinity(0))
    return load(settings, threads=threads)

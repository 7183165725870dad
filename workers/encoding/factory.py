"""Builds the encoder that the settings name. Heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from contracts.model_settings import EncoderKind, EncoderSettings
from workers.encoding.base import Embedder

if TYPE_CHECKING:
    from workers.encoding.served import ServedEncoder


def served_encoder(settings: EncoderSettings) -> ServedEncoder | None:
    """The endpoints of this process's encoder, not asked yet; None for one that computes in the process.

    Raises `PermanentError` when it needs some and the settings name none.
    """
    if settings.encoder is not EncoderKind.OPENAI:
        return None
    from workers.encoding.served import ServedEncoder

    return ServedEncoder(settings)


def build_embedder(
    settings: EncoderSettings, *, default_threads: int | None = None, served: ServedEncoder | None = None
) -> Embedder:
    """The encoder of this process; takes seconds for a real model. One per process.

    `default_threads` holds unless the settings say otherwise; None stands for every core of this process. `served` are its
    endpoints, where they are known already: the encoder closes them, or if there comes to be none, who has them. Raises
    `PermanentError` when the model cannot be had as it is set, `TransientError` while its servers are away.
    """
    if settings.encoder is EncoderKind.SIMULATED:
        from workers.encoding.simulated import SimulatedEmbedder

        return SimulatedEmbedder(call_s=settings.encoder_simulated_ms / 1000)
    if settings.encoder is EncoderKind.OPENAI:
        from workers.encoding.openai import OpenAiEmbedder

        return OpenAiEmbedder.connect(settings, served=served)
    # Waiting threads sleep instead of spinning. On cores that others use too (several workers on one host) an encoder
    # is 2.5 times faster this way and takes a third of the cpu time. OpenMP reads it when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from workers.encoding.loading import load

    threads = settings.encoder_threads or default_threads or len(os.sched_getaffinity(0))
    return load(settings, threads=threads)

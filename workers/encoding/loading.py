"""Loads a sentence-transformers model from its package, a folder or by name."""

from __future__ import annotations

import torch

from contracts.errors import PermanentError
from contracts.settings import EncoderSettings
from workers.encoding.library_model import LibraryModel
from workers.encoding.models import folder_of, profile_of, short_name
from workers.encoding.sentence_transformers import SentenceTransformerEmbedder
from workers.encoding.token_model import TokenModel


def load(settings: EncoderSettings, *, threads: int) -> SentenceTransformerEmbedder:
    """Pin torch to `threads` and load the model. Raises `PermanentError` when it is not to be had."""
    torch.set_num_threads(threads)
    return SentenceTransformerEmbedder(
        _model(settings.encoder_model),
        name=short_name(settings.encoder_model),
        profile=profile_of(settings.encoder_model, scripts=settings.encoder_scripts),
        batch_tokens=settings.encoder_batch_tokens,
    )


def _model(name: str) -> TokenModel:
    from sentence_transformers import SentenceTransformer

    folder = folder_of(name)
    try:
        return LibraryModel(SentenceTransformer(str(folder or name)))
    except (OSError, ValueError) as error:
        raise PermanentError(
            f"the encoder model {name!r} cannot be loaded ({error}): without internet give the folder it lies in, "
            "WAGGLE_ENCODER_MODEL=/path/to/model"
        ) from error

"""Loads a sentence-transformers model from its package, a folder or by name."""

from __future__ import annotations

import contextlib
from pathlib import Path

import structlog
import torch

from contracts.errors import PermanentError
from contracts.settings import EncoderSettings
from workers.encoding.bert import BertModel, UnsupportedModelError
from workers.encoding.models import folder_of, profile_of, short_name
from workers.encoding.precision import measure
from workers.encoding.sentence_transformers import SentenceTransformerEmbedder
from workers.encoding.token_model import TokenModel

REACH_TIMEOUT_S = 10.0

log = structlog.get_logger(__name__)


def load(settings: EncoderSettings, *, threads: int) -> SentenceTransformerEmbedder:
    """Pin torch to `threads` and load the model. Raises `PermanentError` when it is not to be had."""
    torch.set_num_threads(threads)
    name = settings.encoder_model
    return SentenceTransformerEmbedder(
        _model(name, precision=settings.encoder_precision),
        name=short_name(name),
        profile=profile_of(name, scripts=settings.encoder_scripts),
        batch_tokens=settings.encoder_batch_tokens,
    )


def _model(name: str, *, precision: str) -> TokenModel:
    folder = folder_of(name)
    reference = (folder and _plain_bert(folder)) or _from_library(str(folder or name))
    if precision == "float32":
        return reference
    reduced = reference.in_bfloat16()
    if precision == "bfloat16":
        return reduced
    measured = measure(reference, reduced)
    chosen = "bfloat16" if measured.worthwhile else "float32"
    log.info(
        "encoder loaded",
        model=name,
        precision=chosen,
        bfloat16_cosine=round(measured.cosine, 5),
        bfloat16_speedup=round(measured.speedup, 2),
        threads=torch.get_num_threads(),
    )
    return reduced if measured.worthwhile else reference


def _plain_bert(folder: Path) -> BertModel | None:
    with contextlib.suppress(UnsupportedModelError):
        return BertModel.load(folder)
    return None


def _from_library(name: str) -> TokenModel:
    from sentence_transformers import SentenceTransformer

    from workers.encoding.library_model import LibraryModel

    try:
        return LibraryModel(SentenceTransformer(name, local_files_only=True))
    except (OSError, ValueError):  # not on this machine
        _require_reachable(name)
    try:
        return LibraryModel(SentenceTransformer(name))
    except (OSError, ValueError) as error:
        raise _unavailable(name, error) from error


def _require_reachable(name: str) -> None:
    """Ask the hub once: the library itself would try for more than a minute before it says that there is no network."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(name, timeout=REACH_TIMEOUT_S)
    except Exception as error:
        raise _unavailable(name, error) from error


def _unavailable(name: str, error: Exception) -> PermanentError:
    return PermanentError(
        f"the encoder model {name!r} is not on this machine and cannot be downloaded ({error}): check the name, or give "
        "the folder it lies in, WAGGLE_ENCODER_MODEL=/path/to/model"
    )

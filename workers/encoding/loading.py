"""Loads a sentence-transformers model from its package, a folder or by name."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog
import torch

from contracts.errors import PermanentError
from contracts.model_settings import EncoderSettings
from workers.encoding.bert import BertModel, UnsupportedModelError
from workers.encoding.devices import Accelerators
from workers.encoding.models import folder_of, own_prompts, profile_of, short_name, with_prompts
from workers.encoding.precision import measure
from workers.encoding.sentence_transformers import SentenceTransformerEmbedder
from workers.encoding.soundness import require_sound, whole
from workers.encoding.token_model import TokenModel

REACH_TIMEOUT_S = 10.0
CPU = "cpu"
POOLER = "pooler"
"""Of what a BERT was trained with; encoders pool token states themselves, and are often saved without it."""
_SETTING = "WAGGLE_ENCODER_MODEL"

T = TypeVar("T")

log = structlog.get_logger(__name__)


def load(settings: EncoderSettings, *, threads: int) -> SentenceTransformerEmbedder:
    """Pin torch to `threads` and load the model. Raises `PermanentError` when it is not to be had as it is set."""
    torch.set_num_threads(threads)
    device = Accelerators.present().choose(settings.encoder_device, setting="WAGGLE_ENCODER_DEVICE")
    name = settings.encoder_model
    reference, own = _model(name, device=device, max_tokens=settings.encoder_max_tokens)
    profile = with_prompts(
        profile_of(name, scripts=settings.encoder_scripts),
        own,
        query=settings.encoder_query_prompt,
        passage=settings.encoder_passage_prompt,
    )

    def embedder(model: TokenModel) -> SentenceTransformerEmbedder:
        return SentenceTransformerEmbedder(
            model, name=short_name(name), profile=profile, batch_tokens=settings.encoder_batch_tokens
        )

    require_sound(embedder(reference), name=name, setting=_SETTING)
    return embedder(_in_precision(reference, settings.encoder_precision, name=name, device=device))


def find(name: str, load_model: Callable[[str, bool], T], *, setting: str, unused: str | None = None) -> T:
    """What `load_model(folder or name, only on this machine)` gives; looks at this machine before the network.

    Weights whose names hold `unused` may be missing. Raises `PermanentError`, naming the setting, when the model is not to
    be had, or not whole.
    """
    try:
        with whole(name, setting=setting, unused=unused):
            return load_model(name, True)
    except PermanentError:
        raise
    except Exception as error:  # what reads weights and tokenizers has errors of its own
        if os.path.isdir(name) or not isinstance(error, OSError | ValueError):  # noqa: PTH112 (any text may be asked for)
            raise _broken(name, error, setting) from error
    try:
        _require_reachable(name)
        with whole(name, setting=setting, unused=unused):
            return load_model(name, False)
    except PermanentError:
        raise
    except Exception as error:
        raise _unavailable(name, error, setting) from error


def _model(name: str, *, device: str, max_tokens: int | None) -> tuple[TokenModel, Mapping[str, str]]:
    """The model in float32, and the prompts that it brings."""
    folder = folder_of(name)
    if folder and device == CPU and (plain := _plain_bert(folder, max_tokens)):
        return plain, own_prompts(folder)
    from sentence_transformers import SentenceTransformer

    from workers.encoding.library_model import LibraryModel

    def load_model(name: str, here: bool) -> SentenceTransformer:
        return SentenceTransformer(name, device=device, local_files_only=here)

    library = LibraryModel(
        find(str(folder or name), load_model, setting=_SETTING, unused=POOLER).float(), max_tokens=max_tokens
    )
    return library, library.prompts


def _plain_bert(folder: Path, max_tokens: int | None) -> BertModel | None:
    with contextlib.suppress(UnsupportedModelError):
        return BertModel.load(folder, max_tokens=max_tokens)
    return None


def _in_precision(reference: TokenModel, precision: str, *, name: str, device: str) -> TokenModel:
    if precision == "float32":
        return reference
    reduced = reference.in_bfloat16()
    if precision == "bfloat16":
        return reduced
    try:
        measured = measure(reference, reduced)
    except (RuntimeError, TypeError) as error:  # a device that lacks an operation in this precision
        log.info("encoder loaded", model=name, device=device, precision="float32", bfloat16=str(error)[:200])
        return reference
    chosen = "bfloat16" if measured.worthwhile else "float32"
    log.info(
        "encoder loaded",
        model=name,
        device=device,
        precision=chosen,
        bfloat16_cosine=round(measured.cosine, 5),
        bfloat16_speedup=round(measured.speedup, 2),
        threads=torch.get_num_threads(),
    )
    return reduced if measured.worthwhile else reference


def _require_reachable(name: str) -> None:
    """Ask the hub once: the library itself would try for more than a minute before it says that there is no network."""
    from huggingface_hub import HfApi

    HfApi().model_info(name, timeout=REACH_TIMEOUT_S)


def _broken(name: str, error: Exception, setting: str) -> PermanentError:
    return PermanentError(
        f"the model {name!r} is on this machine, but cannot be loaded ({type(error).__name__}: {error}): it is incomplete or "
        f"of a kind that sentence-transformers does not know; get it anew, or set {setting} to another model"
    )


def _unavailable(name: str, error: Exception, setting: str) -> PermanentError:
    return PermanentError(
        f"the model {name!r} is not on this machine and cannot be downloaded ({error}): check the name, or give the folder "
        f"it lies in, {setting}=/path/to/model"
    )

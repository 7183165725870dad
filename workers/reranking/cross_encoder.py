"""Cross-encoders that sentence-transformers can load: from a folder, or by name."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import structlog
import torch
from sentence_transformers import CrossEncoder

from contracts.errors import PermanentError
from contracts.model_settings import RerankerSettings
from workers.encoding.devices import Accelerators
from workers.encoding.loading import find
from workers.encoding.soundness import LONGER, PAIRS, require_different
from workers.reranking.base import Scores
from workers.text.surrogates import sendable

CPU_PAIRS = 8
"""Few enough that a call that nobody waits for ends soon, many enough to keep the cores busy."""
ACCELERATOR_PAIRS = 64
ROUNDING = 1e-5
"""Scores that differ by less, or by less than this share of themselves, are the same."""

log = structlog.get_logger(__name__)


def load(settings: RerankerSettings) -> CrossEncoderModel:
    """Pin the torch of this thread to its cores and load the model.

    Raises `PermanentError`, naming the setting, when it is not to be had or is no reranker.
    """
    torch.set_num_threads(settings.reranker_threads or len(os.sched_getaffinity(0)))
    device = Accelerators.present().choose(settings.reranker_device, setting="WAGGLE_RERANKER_DEVICE")

    def load_model(name: str, here: bool) -> CrossEncoder:
        model: CrossEncoder = CrossEncoder(name, device=device, local_files_only=here)
        return model

    name = settings.reranker_model
    model = find(name, load_model, setting="WAGGLE_RERANKER_MODEL")
    _require_scores(model, name)
    pairs = CrossEncoderModel(model, pairs_at_once=CPU_PAIRS if device == "cpu" else ACCELERATOR_PAIRS)
    _require_sense(pairs, name)
    log.info("reranker loaded", model=name, device=device, threads=torch.get_num_threads())
    return pairs


class CrossEncoderModel:
    """A `PairModel` over a `CrossEncoder`; its scores are the model's logits."""

    def __init__(self, model: CrossEncoder, *, pairs_at_once: int) -> None:
        self._model = model.eval()
        self._pairs_at_once = pairs_at_once

    @property
    def pairs_at_once(self) -> int:
        return self._pairs_at_once

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        scores = self._model.predict(
            [(sendable(query), sendable(text)) for text in texts],
            batch_size=self._pairs_at_once,
            show_progress_bar=False,
            activation_fn=torch.nn.Identity(),
        )
        return np.asarray(scores, dtype=np.float64)


def _require_sense(model: CrossEncoderModel, name: str) -> None:
    """A model without its tokenizer can be loaded as well; it finds all words the same, but for rounding: where in a batch a
    text comes decides how some processors add up.
    """
    try:
        alike = [_same(model.score(LONGER, pair)) for pair in PAIRS]
        scores = model.score(LONGER, [*PAIRS[0], LONGER])
    except Exception as error:
        raise PermanentError(
            f"the model {name!r} cannot score a plain sentence ({type(error).__name__}: {error}): set WAGGLE_RERANKER_MODEL "
            "to a cross-encoder that sentence-transformers can compute"
        ) from error
    if not np.isfinite(scores).all():
        raise PermanentError(
            f"the model {name!r} gives scores that are no numbers: get it anew, or set WAGGLE_RERANKER_MODEL to another one"
        )
    require_different(alike, name=name, setting="WAGGLE_RERANKER_MODEL")


def _same(scores: Scores) -> bool:
    return bool(np.allclose(scores, scores[0], rtol=ROUNDING, atol=ROUNDING))


def _require_scores(model: CrossEncoder, name: str) -> None:
    """The library gives any model a head; one that was not trained with it would score at random."""
    architectures = getattr(model.config, "architectures", None) or []
    untrained = len(model) == 1 and not any("SequenceClassification" in kind for kind in architectures)
    if untrained or model.num_labels != 1:
        why = f"gives {model.num_labels} labels" if not untrained else "is another kind of model"
        raise PermanentError(
            f"{name!r} {why}, not one score for a question and a text: set WAGGLE_RERANKER_MODEL to a cross-encoder"
        )

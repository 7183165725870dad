"""Any model that sentence-transformers can load, as a `TokenModel`."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from workers.encoding.base import Vector
from workers.encoding.token_model import Encoded, Tokens, require_room


class LibraryModel:
    """Calls the modules of a `SentenceTransformer` directly, so that one pass yields vector and token states."""

    def __init__(self, model: SentenceTransformer, *, max_tokens: int | None = None) -> None:
        """`max_tokens` is where texts are cut instead of where the model's configuration says.

        Raises `PermanentError` when the model cannot take so many tokens.
        """
        self._model = model.eval()
        if max_tokens is not None:
            require_room(max_tokens, room=_room(model))
            model.max_seq_length = max_tokens
        self._tokenizer = model.tokenizer
        modules = list(model)
        pooling = next((i for i, module in enumerate(modules) if isinstance(module, Pooling)), len(modules))
        self._after_pooling = modules[pooling + 1 :]

    def in_bfloat16(self) -> LibraryModel:
        return LibraryModel(copy.deepcopy(self._model).to(torch.bfloat16))

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts of the model's configuration, by their names."""
        return {name: prompt for name, prompt in self._model.prompts.items() if prompt}

    @property
    def precision(self) -> str:
        return str(self._model.dtype).removeprefix("torch.")

    @property
    def dimension(self) -> int:
        return int(self._model.get_embedding_dimension() or 0)

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        encoded = self._tokenizer(
            list(texts), truncation=True, max_length=self._model.max_seq_length, return_offsets_mapping=True
        )
        return [
            Tokens(ids=np.asarray(ids, dtype=np.int64), offsets=np.asarray(offsets, dtype=np.int64))
            for ids, offsets in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]

    @torch.inference_mode()
    def forward(self, batch: Sequence[Tokens]) -> list[Encoded]:
        padded = self._tokenizer.pad({"input_ids": [tokens.ids for tokens in batch]}, return_tensors="pt")
        features = self._model({name: tensor.to(self._model.device) for name, tensor in padded.items()})
        vectors = features["sentence_embedding"].float().cpu().numpy()
        states = features["token_embeddings"].float().cpu().numpy()
        mask = padded["attention_mask"].bool().numpy()
        return [Encoded(vector=vectors[i], states=states[i][mask[i]]) for i in range(len(batch))]

    @torch.inference_mode()
    def project(self, pooled: Vector) -> Vector:
        if not len(pooled):
            return np.zeros((0, self.dimension), dtype=np.float32)
        features = {"sentence_embedding": torch.from_numpy(pooled).to(self._model.device, self._model.dtype)}
        for module in self._after_pooling:
            features = module(features)
        projected: Vector = features["sentence_embedding"].float().cpu().numpy()
        return projected


def _room(model: SentenceTransformer) -> int:
    """How many tokens the model can take: those that have a place for each token know it."""
    config = getattr(getattr(model[0], "model", None), "config", None)
    places = getattr(config, "max_position_embeddings", None) or sys.maxsize
    # The first places of the RoBERTa family stand for padding.
    return int(places) - (2 if "roberta" in getattr(config, "model_type", "") else 0)

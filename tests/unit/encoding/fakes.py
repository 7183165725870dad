"""A model of a few lines whose vectors can be told by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workers.encoding.base import Vector
from workers.encoding.token_model import Encoded, TokenModel, Tokens


class LetterModel:
    """A token per character; its state is one-hot by letter. A text's vector is the mean. Fails on some texts."""

    def __init__(self, *, fails_on: str = "", not_finite_on: str = "") -> None:
        self.calls: list[int] = []
        self._fails_on = fails_on
        self._not_finite_on = not_finite_on

    @property
    def precision(self) -> str:
        return "float32"

    @property
    def dimension(self) -> int:
        return 128

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        return [
            Tokens(
                ids=np.array([ord(c) for c in text], dtype=np.int64),
                offsets=np.array([(i, i + 1) for i in range(len(text))], dtype=np.int64).reshape(-1, 2),
            )
            for text in texts
        ]

    def forward(self, batch: Sequence[Tokens]) -> list[Encoded]:
        self.calls.append(len(batch))
        texts = ["".join(map(chr, tokens.ids)) for tokens in batch]
        if self._fails_on and any(self._fails_on in text for text in texts):
            raise RuntimeError(f"cannot take {self._fails_on}")
        return [self._encoded(text, tokens) for text, tokens in zip(texts, batch, strict=True)]

    def project(self, pooled: Vector) -> Vector:
        return pooled

    def in_bfloat16(self) -> TokenModel:
        return self

    def _encoded(self, text: str, tokens: Tokens) -> Encoded:
        states = np.eye(self.dimension, dtype=np.float32)[tokens.ids]
        finite = not (self._not_finite_on and self._not_finite_on in text)
        return Encoded(vector=states.mean(axis=0) if finite else states.mean(axis=0) * np.nan, states=states)

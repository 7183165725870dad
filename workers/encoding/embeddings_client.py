"""The protocol of `/v1/embeddings`: texts to vectors, and what has to be right about a reply."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import JsonValue

from contracts.errors import PermanentError
from workers.encoding.base import Vector
from workers.endpoints.errors import EndpointsUnfitError, RequestRefusedError
from workers.endpoints.faults import StrangeReplyError
from workers.endpoints.purpose import TimeLimit
from workers.endpoints.serving import ServedModel
from workers.text.surrogates import sendable


class EmbeddingsClient:
    """Asks for the vectors of some texts in one request; they are as the server gives them, not normalised."""

    def __init__(self, model: ServedModel, *, dimension: int, asked_for: bool) -> None:
        """`dimension`: what every vector must have; `asked_for` when the server gives another one unless it is told."""
        self.dimension = dimension
        self._model = model
        self._dimensions = {"dimensions": dimension} if asked_for else {}

    @classmethod
    async def connect(
        cls, model: ServedModel, *, wanted_dimension: int | None, sample: str, limit: TimeLimit
    ) -> EmbeddingsClient:
        """Learn the dimension from the vector of a sample.

        Raises `EndpointsUnfitError`, naming the setting, when no server gives such vectors; else what asking raises.
        """
        usual = await _length_of_sample(model, sample, limit, {})
        if wanted_dimension in (None, usual):
            return cls(model, dimension=usual, asked_for=False)
        given = await _length_of_sample(model, sample, limit, {"dimensions": wanted_dimension}, usual=usual)
        if given != wanted_dimension:
            raise _other_dimension(model, wanted_dimension, usual)
        return cls(model, dimension=given, asked_for=True)

    async def ask(
        self, texts: Sequence[str], *, limit: TimeLimit, repeats_500: bool = True
    ) -> list[Vector | Exception]:
        """(d,) float32 for each text, or an error for one whose numbers mean nothing.

        Raises `RequestRefusedError` when one of the texts is refused, and what else `ServedModel.ask` raises.
        """

        def read(reply: JsonValue) -> list[Vector | Exception]:
            vectors = _vectors(reply, count=len(texts))
            for vector in vectors:
                if len(vector) != self.dimension:
                    what = f"gives vectors of {len(vector)} dimensions instead of {self.dimension}"
                    raise StrangeReplyError(what, "DIMENSION", "MODEL")
            return [_usable(vector) for vector in vectors]

        body = _body(self._model, [sendable(text) for text in texts], self._dimensions)
        return await self._model.ask(body, read=read, limit=limit, repeats_500=repeats_500)


def _body(model: ServedModel, texts: Sequence[str], options: dict[str, int]) -> dict[str, JsonValue]:
    # Base64 is a quarter of the size. A server that does not know it answers with numbers, which are as good.
    return {"model": model.purpose.model, "input": list(texts), "encoding_format": "base64", **options}


async def _length_of_sample(
    model: ServedModel, sample: str, limit: TimeLimit, options: dict[str, int], *, usual: int | None = None
) -> int:
    def read(reply: JsonValue) -> int:
        (vector,) = _vectors(reply, count=1)
        if isinstance(_usable(vector), Exception):
            raise StrangeReplyError("gives vectors of numbers that mean nothing", "MODEL")
        return len(vector)

    try:
        return await model.ask(_body(model, [sample], options), read=read, limit=limit)
    except RequestRefusedError as error:
        if usual is not None:
            raise _other_dimension(model, options["dimensions"], usual) from error
        raise EndpointsUnfitError(
            f"the embeddings server does not even take a plain sentence ({error}): check {model.purpose.setting('MODEL')}",
            code=model.purpose.code,
        ) from error


def _other_dimension(model: ServedModel, wanted: int, usual: int) -> EndpointsUnfitError:
    return EndpointsUnfitError(
        f"{model.purpose.model} gives vectors of {usual} dimensions and none of {wanted}: "
        f"set {model.purpose.setting('DIMENSION')}={usual}, or leave it out",
        code=model.purpose.code,
    )


def _vectors(reply: Any, *, count: int) -> list[Vector]:
    """In the order of the texts, whatever the order of the reply. Raises `StrangeReplyError` for another shape."""
    try:
        places = [int(row.get("index", place)) for place, row in enumerate(reply["data"])]
        rows = dict(zip(places, (_vector(row["embedding"]) for row in reply["data"]), strict=True))
        if len(places) == count:
            return [rows[place] for place in range(count)]
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, binascii.Error) as error:
        raise StrangeReplyError(
            f"answers with something else than vectors ({type(error).__name__}: {error})"
        ) from error
    raise StrangeReplyError(f"answers with {len(places)} vectors for {count} texts")


def _vector(value: Any) -> Vector:
    """A row of numbers, or the same as little-endian float32 in base64."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
    numbers = np.array([np.nan if number is None else number for number in value], dtype=np.float32)
    if numbers.ndim != 1 or not len(numbers):
        raise ValueError("no row of numbers")
    return numbers


def _usable(vector: Vector) -> Vector | Exception:
    if np.isfinite(vector).all() and vector.any():
        return vector
    return PermanentError("the embeddings server returned numbers that mean nothing")

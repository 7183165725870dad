"""Vectors of texts: in small groups, the index's own or those of questions, each fault told of the text that has it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import pytest

from contracts.encoding import EncodeRequest, TextKind
from contracts.errors import PermanentError, TransientError
from messaging.encoding import OtherDimensionError, OtherModelError, TextRefusedError
from tests.support.encoders import vectors_of
from workers.encoding.base import Passage, PassageEmbedding, Vector
from workers.encoding.simulated import DIMENSION, SimulatedEmbedder
from workers.retrieve.text_vectors import GROUP_CHARACTERS, GROUP_TEXTS, PLAIN

MIB = 1024 * 1024


class Picky(SimulatedEmbedder):
    """Fails on texts with an exclamation mark, or on all; counts in how many calls what came."""

    def __init__(self, *, fails_on_all: bool = False) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self._fails_on_all = fails_on_all

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        texts = [passage.text for passage in passages]
        if texts != [PLAIN]:
            self.calls.append(texts)
        fails = ["!" in text or self._fails_on_all for text in texts]
        encoded = super().encode_passages(passages)
        return [ValueError("too loud") if each else one for each, one in zip(fails, encoded, strict=True)]

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        self.calls.append(list(questions))
        if any("!" in question for question in questions):
            raise PermanentError("too loud")
        return -super().encode_questions(questions)  # another prompt, another vector


def asking(*texts: str, **options: object) -> EncodeRequest:
    return EncodeRequest.model_validate({"texts": texts, "timeout_s": 1, **options})


def vectors(encoded: Sequence[str]) -> Vector:
    return np.stack([np.frombuffer(base64.b64decode(vector), dtype="<f4") for vector in encoded])


@pytest.mark.parametrize(("kind", "sign"), [(TextKind.PASSAGES, 1), (TextKind.QUESTIONS, -1)])
async def test_they_come_in_order_as_what_they_were_asked_for(kind: TextKind, sign: int) -> None:
    texts = [f"bee {i}" for i in range(16)]

    reply = await vectors_of(Picky()).reply(asking(*texts, kind=kind))

    np.testing.assert_array_equal(vectors(reply.vectors), sign * SimulatedEmbedder().encode_questions(texts))
    assert (reply.model, reply.dimension, reply.tokens) == ("simulated", DIMENSION, 32)


async def test_groups_are_small_in_number_and_in_characters() -> None:
    embedder = Picky()
    long = "x" * GROUP_CHARACTERS

    await vectors_of(embedder).reply(asking(*"abcdefghij", long, "k"))

    assert embedder.calls == [list("abcdefgh"), ["i", "j"], [long], ["k"]]
    assert GROUP_TEXTS == 8


async def test_as_many_come_as_fit_into_a_message() -> None:
    embedder = Picky()
    one = 4 * DIMENSION * 4 // 3

    reply = await vectors_of(embedder, reply_bytes=1024 + 3 * (one + 3)).reply(asking(*"abcde"))

    assert len(reply.vectors) == 3
    assert len(reply.to_bytes()) <= 1024 + 3 * (one + 3)
    assert embedder.calls == [["a", "b", "c"]]  # no others are encoded in vain


async def test_what_a_slow_encoder_has_after_half_of_the_time_is_told() -> None:
    embedder = Picky()

    reply = await vectors_of(embedder, monotonic=lambda: 0.2 * len(embedder.calls)).reply(
        asking(*("x" * GROUP_CHARACTERS for _ in range(9)), timeout_s=1)
    )

    assert (len(reply.vectors), reply.tokens) == (3, 3)


@pytest.mark.parametrize("dimension", [1, 3, 384, 1536, 16_384, 195_000])
async def test_a_reply_fits_whatever_the_dimension(dimension: int) -> None:
    embedder = SimulatedEmbedder(dimension=dimension)

    reply = await vectors_of(embedder).reply(asking(*(f"bee {i}" for i in range(16))))

    assert reply.vectors
    assert len(reply.to_bytes()) <= MIB


async def test_where_not_even_one_fits_it_is_said_what_to_raise() -> None:
    with pytest.raises(PermanentError, match="max_payload"):
        await vectors_of(SimulatedEmbedder(dimension=1000), reply_bytes=4096).reply(asking("a"))


@pytest.mark.parametrize("kind", list(TextKind))
async def test_a_text_that_cannot_be_encoded_is_named(kind: TextKind) -> None:
    texts = [f"bee {i}" for i in range(14)]
    texts[12] = "bees!"

    with pytest.raises(TextRefusedError, match="too loud") as raised:
        await vectors_of(Picky()).reply(asking(*texts, kind=kind))
    assert raised.value.position == 12


async def test_where_everything_fails_no_text_is_at_fault() -> None:
    with pytest.raises(TransientError, match="fails on everything"):
        await vectors_of(Picky(fails_on_all=True)).reply(asking("a", "b"))


async def test_another_encoder_encodes_nothing() -> None:
    embedder = Picky()
    for wrong, error in (({"model": "other"}, OtherModelError), ({"dimension": 3}, OtherDimensionError)):
        with pytest.raises(error, match="simulated"):
            await vectors_of(embedder).reply(asking("a", **wrong))
    assert embedder.calls == []

    named = await vectors_of(embedder).reply(asking("a", model="/models/simulated", dimension=DIMENSION))
    assert len(named.vectors) == 1

"""The simulated encoder keeps the contract, and its time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from contracts.model_settings import EncoderKind, EncoderSettings
from tests.unit.encoding.embedder_contract import EmbedderContract
from workers.encoding.base import Passage
from workers.encoding.factory import build_embedder
from workers.encoding.simulated import SimulatedEmbedder


class TestSimulatedEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self) -> SimulatedEmbedder:
        return SimulatedEmbedder()


def test_equal_texts_have_equal_vectors_and_others_do_not() -> None:
    vectors = SimulatedEmbedder().encode_questions(["a", "b", "a"])
    np.testing.assert_array_equal(vectors[0], vectors[2])
    assert abs(float(vectors[0] @ vectors[1])) < 0.3


def test_a_call_takes_its_time_however_much_is_encoded() -> None:
    embedder = build_embedder(EncoderSettings(encoder=EncoderKind.SIMULATED, encoder_simulated_ms=30))
    started = time.perf_counter()
    embedder.encode_passages([Passage(text=str(i)) for i in range(50)])
    assert time.perf_counter() - started >= 0.03

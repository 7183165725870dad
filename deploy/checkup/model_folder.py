"""Whether a folder looks like a language model that vLLM can load."""

from __future__ import annotations

import json
from pathlib import Path

from contracts.errors import PermanentError

CONFIGURATIONS = ("config.json", "params.json")
"""Hugging Face's and Mistral's."""
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
NAME_PARTS = 2
"""A name is a model's, or an owner's and a model's."""


def described(model: str) -> str:
    """What can be told of `WAGGLE_GENERATOR_MODEL` without loading it.

    Raises `PermanentError` for a folder that is not there or holds no model.
    """
    path = Path(model)
    if path.is_dir():
        _require_model(path)
        return f"the folder {model}, which holds a model; whether it fits this machine shows when a worker loads it"
    if path.is_file():
        return f"the file {model}; whether vLLM can read it shows when a worker loads it"
    if is_path(model):
        raise PermanentError(
            f"WAGGLE_GENERATOR_MODEL={model} is no folder on this machine: give the folder of a model, or a model's name"
        )
    return (
        f"{model}, a name: not looked for here. Whether there is such a model, and whether it lies in the cache of the "
        "worker's machine or can be fetched, shows when a worker loads it"
    )


def is_path(model: str) -> bool:
    """Names have no more than one slash, and begin with neither a slash nor a dot."""
    return model.startswith(("/", ".", "~")) or len(model.split("/")) > NAME_PARTS


def _require_model(folder: Path) -> None:
    configuration = next((folder / name for name in CONFIGURATIONS if (folder / name).is_file()), None)
    if configuration is None:
        raise PermanentError(
            f"WAGGLE_GENERATOR_MODEL={folder} holds no {CONFIGURATIONS[0]}: it is not the folder of a model, or it was not "
            "copied whole"
        )
    try:
        read = json.loads(configuration.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PermanentError(f"{configuration} (WAGGLE_GENERATOR_MODEL) cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise PermanentError(f"{configuration} (WAGGLE_GENERATOR_MODEL) is no configuration of a model")
    if not any(file for pattern in WEIGHTS for file in folder.glob(pattern)):
        raise PermanentError(
            f"WAGGLE_GENERATOR_MODEL={folder} holds no weights ({', '.join(WEIGHTS)}): it was not copied whole"
        )

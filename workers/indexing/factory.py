"""Builds the index that the settings name. Heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from contracts.errors import PermanentError
from contracts.settings import IndexKind, IndexSettings
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.current import CurrentIndex, told_to_nobody
from workers.indexing.entrances import Entrance, TwoEntrances
from workers.indexing.pointer import Site

if TYPE_CHECKING:
    from workers.indexing.weaviate_site import WeaviateSite


def build_index(
    settings: IndexSettings, identity: EncoderIdentity, *, on_move: Callable[[str], None] = told_to_nobody
) -> VectorIndex:
    """The index of this process, not yet open. `identity` is that of the encoder whose vectors it holds.

    `on_move` is called with the name of the index that is used, first when it is opened.
    """
    return CurrentIndex(build_site(settings, settings.index), identity, on_move=on_move)


def build_entrances(
    settings: IndexSettings, identity: EncoderIdentity, *, mark: str | None, on_move: Callable[[str], None]
) -> TwoEntrances | None:
    """The index at its two addresses, not yet open; None: it has but one, and `build_index` makes it. `mark` is that of the
    place that was used before, if it is known.
    """
    beside = settings.at_standby() if settings.index is IndexKind.WEAVIATE else None
    if beside is None:
        return None
    primary, standby = (_entrance(at, identity, on_move) for at in (settings, beside))
    return TwoEntrances(primary, standby, mark=mark)


def _entrance(settings: IndexSettings, identity: EncoderIdentity, on_move: Callable[[str], None]) -> Entrance:
    site = _weaviate(settings)
    return Entrance(site=site, index=CurrentIndex(site, identity, on_move=on_move))


def build_site(settings: IndexSettings, kind: IndexKind) -> Site:
    """The place where an engine keeps its indexes, not yet open."""
    return _weaviate(settings) if kind is IndexKind.WEAVIATE else _lancedb(settings)


def _lancedb(settings: IndexSettings) -> Site:
    # The engine logs what we handle ourselves (conflicts that are retried); it reads this when it is imported.
    os.environ.setdefault("LANCE_LOG", "error")
    os.environ.setdefault("LANCEDB_LOG", "error")
    from workers.indexing.lance_site import LanceSite

    return LanceSite(settings.index_path)


def _weaviate(settings: IndexSettings) -> WeaviateSite:
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

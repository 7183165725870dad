"""Builds the index that the settings name. Heavy libraries are imported here, when they are needed."""

from __future__ import annotations

import os

from contracts.settings import IndexSettings
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex


def build_index(settings: IndexSettings, identity: EncoderIdentity) -> VectorIndex:
    """The index of this process, not yet open. `identity` is that of the encoder whose vectors it holds."""
    # The engine logs what we handle ourselves (conflicts that are retried); it reads this when it is imported.
    os.environ.setdefault("LANCE_LOG", "error")
    os.environ.setdefault("LANCEDB_LOG", "error")
    from workers.indexing.lance import LanceIndex

    return LanceIndex(settings.index_path, identity)

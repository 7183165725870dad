"""What processes depend on, by the names that their heartbeats use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts import topology

BROKER: Final = "broker"
LEDGER: Final = "ledger"
UPLOADS: Final = "uploads"
INDEX: Final = "index"
ENCODER: Final = "encoder"
GENERATOR: Final = "generator"
RERANKER: Final = "reranker"
CACHE: Final = "cache"
PARSER: Final = "parser"

REQUIRED: Final = (BROKER, LEDGER, UPLOADS, INDEX, ENCODER, GENERATOR)
"""Without one of these documents do not become searchable, or questions are not answered. Of the others nothing but time and
quality depends."""

IN_BROKER: Final[Mapping[str, topology.KeyValue | topology.ObjectBucket]] = {
    LEDGER: topology.DOCUMENTS,
    UPLOADS: topology.UPLOADS,
}
"""Those that are buckets of the broker."""

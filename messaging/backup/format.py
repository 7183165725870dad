"""What a backup consists of: a folder of files with fixed names, and the manifest that makes it one.

manifest.json        format, release, times, counts, and of every file its size and SHA-256; written last
documents.jsonl      a line for each document: its ledger record, and where its uploads lie in the archive
uploads.tar          originals and extracted texts, as tenant/document/generation/part
dead-letters.jsonl   a line for each dead letter
config.jsonl, …      a line for each revision of each key of a KV bucket, oldest first
"""

from __future__ import annotations

from pydantic import AwareDatetime, Base64Bytes, Field

from contracts import topology
from contracts.documents import DocumentRecord, Sha256
from contracts.identifiers import Token
from contracts.message import Value
from messaging.uploads import Part

FORMAT = 1
"""Raised whenever a release before could not restore what this one writes."""

MANIFEST = "manifest.json"
DOCUMENTS = "documents.jsonl"
UPLOADS = "uploads.tar"
LETTERS = "dead-letters.jsonl"

BUCKETS = (topology.CONFIG, topology.ALERTS, topology.SILENCES, topology.APIKEYS)
"""What people and the system have decided. Leases, counts of batches and cached answers are of the moment."""


def bucket_file(bucket: topology.KeyValue) -> str:
    return f"{bucket.name}.jsonl"


FILES = frozenset({DOCUMENTS, UPLOADS, LETTERS, *map(bucket_file, BUCKETS)})


class FileEntry(Value):
    """A file as it was written."""

    size_bytes: int = Field(ge=0)
    sha256: Sha256


class Counts(Value):
    """What a backup holds. `uploads_missing` are originals that the object store had lost before."""

    documents: int = Field(ge=0)
    deleted_documents: int = Field(ge=0)
    uploads: int = Field(ge=0)
    uploads_missing: int = Field(ge=0)
    dead_letters: int = Field(ge=0)
    settings: int = Field(ge=0)


class Manifest(Value):
    """Says that a backup is finished, and what belongs to it."""

    format: int = Field(default=FORMAT, ge=1)
    id: Token
    release: str
    began_at: AwareDatetime
    finished_at: AwareDatetime
    counts: Counts
    size_bytes: int = Field(ge=0)
    files: dict[str, FileEntry]


class BackedUpload(Value):
    """A part of a generation; `offset` is where its bytes begin in the archive."""

    generation: Token
    part: Part
    offset: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    sha256: Sha256


class BackedDocument(Value):
    """A document as it stood at a revision of the ledger, with all of its uploads that may still be needed."""

    revision: int = Field(ge=1)
    record: DocumentRecord
    uploads: tuple[BackedUpload, ...] = ()


class BackedMessage(Value):
    """A message of a stream or bucket; `key` is its subject without the part that is common to all."""

    key: str = Field(min_length=1)
    headers: dict[str, str] = Field(default_factory=dict)
    data: Base64Bytes

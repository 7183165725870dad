"""Reads one file inside a confined child of the parser process."""

from __future__ import annotations

import hashlib
import os

from contracts.errors import DocumentError
from workers.ingest.confinement import allow_cpu, confine
from workers.ingest.extraction import Cut, Parsed, cut, parse
from workers.ingest.jobs import OUT_OF_MEMORY, Job
from workers.ingest.result_file import Header, write_failure, write_result
from workers.ingest.tokenization import Tokenizer

# Cutting takes time in proportion to the text, and its code is ours: so much more per million characters.
_CPU_S_PER_MILLION = 15


def read_file(job: Job, source: int, target: int, *, tokenizer: Tokenizer) -> int:
    """Read the file `source`, write the result or the `DocumentError` to `target`, and return the exit status."""
    confine(job.limits)
    with os.fdopen(target, "wb") as result:
        try:
            with os.fdopen(source, "rb") as file:
                parsed = parse(file.read(), name=job.name)
            text = parsed.document.text.encode()
            allow_cpu(job.limits.cpu_s + len(parsed.document.text) * _CPU_S_PER_MILLION // 1_000_000)
            pieces = cut(parsed.document, job.cutting, tokenizer=tokenizer)
            write_result(result, _header(parsed, text, pieces), text, pieces.batches)
        except DocumentError as error:
            write_failure(result, error)
        except MemoryError:
            return OUT_OF_MEMORY
    return 0


def _header(parsed: Parsed, text: bytes, pieces: Cut) -> Header:
    fingerprint = hashlib.sha256()
    for batch in pieces.batches:
        fingerprint.update(batch)
    return Header(
        media_type=parsed.media_type,
        characters=len(parsed.document.text),
        pages=len(parsed.document.pages) or None,
        chunks=pieces.chunks,
        batches=len(pieces.batches),
        text_bytes=len(text),
        fingerprint=fingerprint.hexdigest(),
    )

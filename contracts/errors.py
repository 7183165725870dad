"""Every error that Waggle raises, and what delivery makes of it.

    WaggleError
    ├── TransientError        retry later, with a delay (a backend is away, a newer schema)
    │   └── NewerSchemaError  a message from a newer release; left for a worker that knows it
    └── PermanentError        never succeeds on repetition: the message is dead-lettered now
        ├── InvalidMessageError   not a message of its contract
        └── DocumentError         the document's own fault; ends it `failed` with a code and advice

Each message says what happened, to what, and what to do next.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints


class ErrorCode(StrEnum):
    """The codes that travel in failed documents, failed queries and dead letters."""

    # documents
    EMPTY = "empty_document"
    ENCRYPTED = "encrypted_document"
    CORRUPT = "corrupt_document"
    IMAGE_ONLY = "image_only_document"
    UNSUPPORTED_TYPE = "unsupported_type"
    TOO_LARGE = "document_too_large"
    PARSER_TIMEOUT = "parser_timeout"
    PARSER_MEMORY = "parser_out_of_memory"
    PARSER_CRASHED = "parser_crashed"
    ENCODING_FAILED = "encoding_failed"
    UPLOAD_MISSING = "upload_missing"
    INDEX_COUNT_MISMATCH = "index_count_mismatch"
    # queries
    DEADLINE_EXCEEDED = "deadline_exceeded"
    RETRIEVAL_FAILED = "retrieval_failed"
    GENERATION_FAILED = "generation_failed"
    # delivery
    INVALID_MESSAGE = "invalid_message"
    TENANT_MISMATCH = "tenant_mismatch"
    NEWER_SCHEMA = "newer_schema"
    RETRIES_EXHAUSTED = "retries_exhausted"
    INTERNAL = "internal_error"


Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""An error code on the wire. Releases add codes, so readers treat one they do not know as `internal_error`."""


class WaggleError(Exception):
    """Base of all errors raised by Waggle."""

    code: ErrorCode = ErrorCode.INTERNAL


class TransientError(WaggleError):
    """Failed for a reason that passes; the message is delivered again after a delay.

    `retry_after_s` overrides the delay that the number of deliveries would give.
    """

    def __init__(self, message: str, *, code: ErrorCode | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code
        self.retry_after_s = retry_after_s


class NotYetError(TransientError):
    """It is too early for this message: nothing failed, and it comes again after `retry_after_s`."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class NewerSchemaError(TransientError):
    """A message of a newer schema version than this release knows."""

    code = ErrorCode.NEWER_SCHEMA


class PermanentError(WaggleError):
    """Repeating cannot help; the message is dead-lettered with this reason."""

    def __init__(self, message: str, *, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.code = code or type(self).code

    @property
    def retryable(self) -> bool:
        """Whether the same may succeed when it is asked for anew: its attempts failed one by one, for reasons that may pass."""
        return self.code is ErrorCode.RETRIES_EXHAUSTED


class InvalidMessageError(PermanentError):
    """The bytes are not a message of the contract expected on their subject."""

    code = ErrorCode.INVALID_MESSAGE


class DocumentError(PermanentError):
    """A document that cannot be ingested; the message tells its owner what to do."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message, code=code)

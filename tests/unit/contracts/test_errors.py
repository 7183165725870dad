"""What an error says of asking again."""

from __future__ import annotations

import pytest

from contracts.errors import DocumentError, ErrorCode, PermanentError


@pytest.mark.parametrize("code", ErrorCode)
def test_only_what_used_up_its_attempts_may_succeed_when_it_is_asked_for_anew(code: ErrorCode) -> None:
    assert PermanentError("no", code=code).retryable == (code is ErrorCode.RETRIES_EXHAUSTED)


def test_a_document_that_cannot_be_ingested_cannot_be_when_it_is_submitted_again() -> None:
    assert not DocumentError(ErrorCode.ENCRYPTED, "It is encrypted.").retryable

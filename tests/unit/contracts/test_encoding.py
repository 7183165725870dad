"""What may be asked of an encoder at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contracts.encoding import MAX_CHARACTERS, MAX_TEXTS, EncodeRequest

BROKERS_LIMIT = 1024 * 1024


def request(*texts: str) -> EncodeRequest:
    return EncodeRequest(texts=texts, timeout_s=1)


@pytest.mark.parametrize("character", ["a", "蜂", "🐝", "\x01"])
def test_whatever_may_be_asked_fits_into_a_message(character: str) -> None:
    each = MAX_CHARACTERS // MAX_TEXTS

    assert len(request(*[character * each] * MAX_TEXTS).to_bytes()) < BROKERS_LIMIT // 4
    assert len(request(character * MAX_CHARACTERS).to_bytes()) < BROKERS_LIMIT // 4


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        ([], "at least 1 item"),
        ([""], "at least 1 character"),
        (["a"] * (MAX_TEXTS + 1), "at most 16 items"),
        (["a" * (MAX_CHARACTERS + 1)], "at most 32768 characters"),
        (["a" * MAX_CHARACTERS, "a"], "32768 characters together"),
    ],
)
def test_more_or_nothing_is_refused(texts: list[str], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        request(*texts)

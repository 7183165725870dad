"""Names of entries: equal for equal parts, different for all others, and never another tenant's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.caching.envelope import opened, seal
from messaging.caching.errors import CacheRefusedError
from messaging.caching.keys import CacheKey, CacheKind
from tests.unit.messaging.cache_contract import key

TENANTS = st.from_regex(r"\A[A-Za-z0-9_-]{1,128}\Z")
TEXTS = st.text(alphabet='ab"\\,:{}[]1 \u00e4\u8702\ud800', max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PARTS = st.dictionaries(st.sampled_from(["question", "model", "top_k", "filters"]), VALUES, max_size=4)


def of(**parts) -> CacheKey:
    return CacheKey.of(CacheKind.ANSWER, "tenant", **parts)


def plain(parts: dict) -> str:
    """Parts as text that tells true from 1 and 1 from 1.0."""
    return json.dumps(parts, sort_keys=True)


@given(PARTS)
def test_the_order_of_parts_does_not_matter(parts: dict) -> None:
    assert of(**parts) == of(**dict(reversed(parts.items())))


@given(PARTS, PARTS)
def test_other_parts_make_another_key(one: dict, other: dict) -> None:
    assert (of(**one) == of(**other)) == (plain(one) == plain(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": "1"}, {"a": 1}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": True}, {"a": 1}),
        ({"a": None}, {}),
        ({"a": None}, {"a": "null"}),
        ({"a": ["x", "y"]}, {"a": ["x,y"]}),
        ({"a": "b", "c": "d"}, {"a": 'b","c":"d'}),
        ({"a": "ä"}, {"a": "a\u0308"}),
        ({"a": {"x": 1}}, {"a": [["x", 1]]}),
    ],
)
def test_what_looks_alike_is_kept_apart(one: dict, other: dict) -> None:
    assert of(**one) != of(**other)


def test_a_digest_stays_the_same_over_releases() -> None:
    """Changing it would empty every shared cache."""
    made = CacheKey.of(CacheKind.QUESTION_VECTOR, "tenant", text="蜂箱?", model="m", top_k=5)
    assert made.digest == "e8b249f702aa9a46bf33c311e489af255da1648896dceea5ded3511545ddb56a"


@pytest.mark.parametrize("part", [b"bytes", {1, 2}, object(), {1: "x"}, [{2: "x"}], {"x": (1, b"")}])
def test_what_is_no_json_is_refused(part: object) -> None:
    with pytest.raises(TypeError, match="cache key"):
        of(part=part)


@pytest.mark.parametrize("part", [float("nan"), float("inf")])
def test_numbers_that_equal_nothing_are_refused(part: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        of(part=part)


@pytest.mark.parametrize("tenant", ["", "a.b", "a:b", "*", ">", "a*", "a b", "a\n", "\n", "a/b", "é", "a" * 129])
def test_what_is_no_tenant_makes_no_key(tenant: str) -> None:
    with pytest.raises(ValueError, match="no tenant"):
        CacheKey.of(CacheKind.ANSWER, tenant, question="q")


@pytest.mark.parametrize("digest", ["", "abc", "G" * 64, "A" * 64, "a" * 65, "a" * 63 + "\n", "." * 64])
def test_a_digest_is_made_not_chosen(digest: str) -> None:
    with pytest.raises(ValueError, match=r"CacheKey\.of"):
        CacheKey(kind=CacheKind.ANSWER, tenant="t", digest=digest)


@given(TENANTS, st.binary(), st.floats(min_value=0, max_value=1e10))
def test_a_sealed_value_comes_back_with_its_time(tenant: str, value: bytes, expires_at: float) -> None:
    envelope = opened(key(tenant=tenant), seal(key(tenant=tenant), value, expires_at=expires_at))
    assert envelope.value == value
    assert envelope.expires_at == pytest.approx(expires_at, abs=0.001)


@given(TENANTS, TENANTS, st.sampled_from(CacheKind), st.sampled_from(CacheKind))
def test_it_opens_under_its_own_name_only(one: str, other: str, kind: CacheKind, other_kind: CacheKind) -> None:
    written, read = key(tenant=one, kind=kind), key(tenant=other, kind=other_kind)
    sealed = seal(written, b"value", expires_at=1.0)
    if written == read:
        assert opened(read, sealed).value == b"value"
    else:
        with pytest.raises(CacheRefusedError):
            opened(read, sealed)


@given(st.binary(max_size=64))
def test_bytes_that_nobody_sealed_are_refused(data: bytes) -> None:
    with pytest.raises(CacheRefusedError):
        opened(key(), data)

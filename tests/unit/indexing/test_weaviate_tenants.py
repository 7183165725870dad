"""Names of tenants as names of shards."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from contracts.identifiers import TOKEN
from workers.indexing.weaviate_tenants import MAX_NAME_LENGTH, shard_name

TENANTS = st.from_regex(TOKEN, fullmatch=True)


@given(TENANTS)
def test_every_tenant_has_a_name_that_weaviate_allows(tenant: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", shard_name(tenant))


@given(st.lists(TENANTS, unique=True, max_size=8))
def test_no_two_tenants_share_a_name(tenants: list[str]) -> None:
    assert len({shard_name(tenant) for tenant in tenants}) == len(tenants)


@given(st.text("ab-", min_size=60, max_size=128), st.text("ab-", min_size=60, max_size=128))
def test_long_names_that_begin_alike_do_not_share_one(first: str, second: str) -> None:
    assert (shard_name(first) == shard_name(second)) is (first == second)


def test_a_tenant_cannot_take_the_name_that_another_was_given() -> None:
    given_name = shard_name("a" * 100)
    assert len(given_name) == MAX_NAME_LENGTH
    assert shard_name(given_name) != given_name


def test_usual_names_stay_readable() -> None:
    assert shard_name("acme") == "acme"
    assert shard_name("acme-" * 20).startswith("acme-acme-acme-")

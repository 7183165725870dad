"""What every `VectorIndex` must do with conditions on metadata; a part of `VectorIndexContract`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from contracts.queries import Condition, Filters
from tests.unit.indexing.evaluation import holds
from tests.unit.indexing.rows import NASTY, TENANT, question, row
from workers.indexing.base import VectorIndex

MIXED = (
    *(
        "-1e300",
        "-12.5",
        "-12",
        "-0.0",
        "0",
        "1e-300",
        "0.1",
        "19.95",
        "19.99",
        "20",
        "2019",
        "2020",
        "2.02e3",
        "1e300",
    ),
    *("2023-12-31", "2024-01-01", "2024-02-29T12:30", "2024-02-29T12:30:00.000001Z", "2024-02-29T14:30+02:00"),
    *("2024-03-01T00:30+01:00", "0001-01-01", "9999-12-31T23:59:59.999999"),
    *(
        "",
        "en",
        "english",
        "docs/bees/flight.md",
        "docs/beekeeping.md",
        "docs",
        "蜜蜂的舞蹈",
        "蜜蜂",
        "蜂",
        "🐝🐝",
        "nan",
        "2024-02-30",
    ),
    *("ab", "ab ", "ab|", "ab |", "ab\n", "ab\u3000", " ab", "AB", "abcd efg", "abcd\tefg", "2020 ", "é", "e\u0301"),
    "https://wiki.example.org/handbook/hives/and/their/keepers/in/winter.html",
)


async def put(index: VectorIndex, values: dict[str, dict[str, str]], *, tenant: str = TENANT) -> None:
    await index.upsert(
        [replace(row("same words", document_id=d, tenant=tenant), metadata=metadata) for d, metadata in values.items()]
    )


async def found(index: VectorIndex, *, tenant: str = TENANT, limit: int = 99, **conditions: Any) -> set[str]:
    """The documents that both sides of a search find under these conditions."""
    filters = Filters.model_validate({"metadata": conditions})
    sides = {
        frozenset(c.document_id for c in await index.search(tenant, text=t, vector=v, limit=limit, filters=filters))
        for t, v in (("words", None), (None, question("x")))
    }
    assert len(sides) == 1, "keyword and vector side disagree"
    return set(sides.pop())


class FilterContract:
    """Conditions hold exactly, on values of every kind, before and after optimizing, within the tenant."""

    async def test_all_metadata_conditions_must_hold_each_by_any_of_its_values(self, index: VectorIndex) -> None:
        labels = {
            "a": {"lang": "en", "kind": "news"},
            "b": {"lang": "de", "kind": "news"},
            "c": {"lang": "en"},
            "d": {},
        }
        await put(index, labels)
        assert await found(index, lang="en") == {"a", "c"}
        assert await found(index, lang=["en"]) == {"a", "c"}
        assert await found(index, lang=["en", "de"]) == {"a", "b", "c"}
        assert await found(index, lang=["en", "de"], kind="news") == {"a", "b"}
        assert await found(index, lang="fr") == set()
        assert await found(index, kind=[]) == set()

    @pytest.mark.parametrize("value", NASTY)
    async def test_metadata_values_are_data_whatever_they_hold(self, index: VectorIndex, value: str) -> None:
        await put(index, {"with": {"key": value}, "without": {"key": "plain"}})
        await put(index, {"foreign": {"key": value}}, tenant="other")
        filters = Filters(metadata={"key": Condition(any_of=(value,))})
        (hit,) = await index.search(TENANT, text="words", vector=question("x"), limit=9, filters=filters)
        assert (hit.document_id, hit.metadata) == ("with", {"key": value})

    @pytest.mark.parametrize("beginning", [value for value in NASTY if value])
    async def test_so_are_beginnings(self, index: VectorIndex, beginning: str) -> None:
        await put(index, {"with": {"key": beginning + " and more"}, "same": {"key": beginning}, "no": {"key": "plain"}})
        await put(index, {"foreign": {"key": beginning}}, tenant="other")
        assert await found(index, key={"prefix": beginning}) == {"with", "same"}

    async def test_filtered_documents_do_not_use_up_the_limit(self, index: VectorIndex) -> None:
        await index.upsert([row("same words", ordinal=i) for i in range(30)])
        await put(index, {"e": {"k": "v", "year": "2020", "path": "docs/" + "x" * 90}})
        several: list[dict[str, Any]] = [{"k": "v"}, {"year": {"gt": 2019.5}}, {"path": {"prefix": "docs/" + "x" * 59}}]
        for conditions in several:
            assert await found(index, limit=2, **conditions) == {"e"}

    async def test_ranges_of_numbers_know_whether_their_ends_belong_to_them(self, index: VectorIndex) -> None:
        await put(index, {value: {"year": value} for value in ("2019", "2020", "2021", "2022")})
        assert await found(index, year={"gte": 2020, "lt": 2022}) == {"2020", "2021"}
        assert await found(index, year={"gt": 2020, "lte": 2022}) == {"2021", "2022"}
        assert await found(index, year={"gt": 2020}) == {"2021", "2022"}
        assert await found(index, year={"lte": 2020}) == {"2019", "2020"}
        assert await found(index, year={"gt": 2020, "lt": 2021}) == set()

    async def test_numbers_are_ordered_below_zero_and_at_any_size(self, index: VectorIndex) -> None:
        values = {
            "a": "-1e300",
            "b": "-20",
            "c": "-19.5",
            "d": "-1e-300",
            "e": "0",
            "f": "1e-300",
            "g": "0.3",
            "h": "1e300",
        }
        await put(index, {document: {"n": value} for document, value in values.items()})
        assert await found(index, n={"lt": -19.5}) == {"a", "b"}
        assert await found(index, n={"gte": -19.5, "lt": 0}) == {"c", "d"}
        assert await found(index, n={"gt": 0, "lte": 0.3}) == {"f", "g"}
        assert await found(index, n={"gt": 0.3}) == {"h"}
        assert await found(index, n={"gte": -1.7e308, "lte": 1.7e308}) == set(values)

    async def test_ranges_of_dates_compare_instants(self, index: VectorIndex) -> None:
        values = {
            "before": "2024-04-30T23:59:59.999999",
            "day": "2024-05-01",
            "utc": "2024-05-01T00:00:00Z",
            "berlin": "2024-05-01T02:00:00+02:00",
            "noon": "2024-05-01T12:00",
            "after": "2024-05-02",
        }
        await put(index, {document: {"at": value} for document, value in values.items()})
        midnight = {"day", "utc", "berlin"}
        assert await found(index, at={"gte": "2024-05-01", "lt": "2024-05-02"}) == {*midnight, "noon"}
        assert await found(index, at={"gt": "2024-05-01", "lte": "2024-05-02"}) == {"noon", "after"}
        assert await found(index, at={"lt": "2024-05-01T08:00+08:00"}) == {"before"}
        assert await found(index, at={"gte": "2024-05-01T01:00+01:00", "lte": "2024-05-01"}) == midnight

    async def test_a_key_may_hold_numbers_dates_and_texts(self, index: VectorIndex) -> None:
        await put(index, {"number": {"k": "2024"}, "date": {"k": "2024-05-01"}, "text": {"k": "in 2024"}, "none": {}})
        assert await found(index, k={"gte": 0}) == {"number"}
        assert await found(index, k={"gte": "0001-01-01"}) == {"date"}
        assert await found(index, k={"prefix": "2024"}) == {"number", "date"}

    async def test_beginnings_are_counted_in_characters(self, index: VectorIndex) -> None:
        values = {"a": "蜜蜂的舞蹈和花蜜", "b": "蜜蜂的舞会", "c": "蜂蜜", "d": "🐝🐝x"}
        await put(index, {document: {"title": value} for document, value in values.items()})
        assert await found(index, title={"prefix": "蜜"}) == {"a", "b"}
        assert await found(index, title={"prefix": "蜜蜂的舞"}) == {"a", "b"}
        assert await found(index, title={"prefix": "蜜蜂的舞蹈"}) == {"a"}
        assert await found(index, title={"prefix": "🐝🐝"}) == {"d"}

    async def test_conditions_of_several_kinds_and_keys_all_hold(self, index: VectorIndex) -> None:
        labels = {
            "a": {"lang": "en", "year": "2021", "path": "docs/a.md"},
            "b": {"lang": "de", "year": "2021", "path": "docs/b.md"},
            "c": {"lang": "en", "year": "2018", "path": "docs/c.md"},
            "d": {"lang": "en", "year": "2021", "path": "blog/d.md"},
            "e": {"lang": "fr", "year": "2021", "path": "docs/e.md"},
        }
        await put(index, labels)
        both: dict[str, Any] = {"lang": ["en", "de"], "year": {"gte": 2020, "lt": 2030}}
        assert await found(index, **both) == {"a", "b", "d"}
        assert await found(index, **both, path={"prefix": "docs/"}) == {"a", "b"}
        assert await found(index, year={"any_of": ["2018", "2021"], "lt": 2020, "prefix": "20"}) == {"c"}

    async def test_ranges_and_beginnings_stay_within_the_tenant(self, index: VectorIndex) -> None:
        await put(index, {"mine": {"year": "2020", "path": "docs/a"}})
        await put(index, {"theirs": {"year": "2020", "path": "docs/a"}}, tenant="other")
        for tenant, documents in ((TENANT, {"mine"}), ("other", {"theirs"}), ("third", set())):
            assert await found(index, tenant=tenant, year={"gte": 2020}) == documents
            assert await found(index, tenant=tenant, path={"prefix": "docs/"}) == documents

    @pytest.mark.parametrize("optimized", [False, True])
    async def test_every_condition_holds_for_the_same_values_as_when_each_is_looked_at(
        self, index: VectorIndex, optimized: bool
    ) -> None:
        await put(index, {f"d{n}": {"k": value} for n, value in enumerate(MIXED)})
        if optimized:
            await index.optimize()
        for condition in _conditions():
            expected = {f"d{n}" for n, v in enumerate(MIXED) if holds(Filters(metadata={"k": condition}), {"k": v})}
            assert await found(index, k=condition) == expected, condition

    async def test_the_widest_filters_are_answered(self, index: VectorIndex) -> None:
        wide = {
            "gt": -1.1111111111111112e-99,
            "lt": 8.888888888888889e88,
            "prefix": "1",
            "any_of": [str(n) for n in range(1000)],
        }
        inside = {f"k{n}": "11" for n in range(16)}
        await put(index, {"inside": inside, "outside": {**inside, "k15": "-1"}})
        everywhere: dict[str, Any] = dict.fromkeys(inside, wide)
        assert await found(index, **everywhere) == {"inside"}


def _conditions() -> list[Condition]:
    numbers = (-12.5, 0, 0.1, 19.95, 19.99, 2020, 1e300)
    dates = (
        "2024-01-01",
        "2024-02-29T12:30:00Z",
        "2024-02-29T12:30:00.000001Z",
        "0001-01-01",
        "9999-12-31T23:59:59.999999Z",
    )
    ends = [{end: bound} for bound in (*numbers, *dates) for end in ("gt", "gte", "lt", "lte")]
    beginnings = [{"prefix": value[:length]} for value in MIXED if value for length in (1, min(len(value), 64))]
    several: list[dict[str, object]] = [
        {"gt": -12.5, "lte": 20},
        {"gte": "2024-01-01", "lt": "2024-03-01"},
        {"any_of": ["2020", "20", "蜂", ""]},
        {"any_of": ["2020", "2019", "en"], "gte": 2020},
        {"prefix": "20", "gte": 2020},
    ]
    return [Condition.model_validate(condition) for condition in (*ends, *beginnings, *several)]

"""Every list that can be long is read page by page in one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from messaging.broker import Broker
from tests.support.gateways import Gateway
from tests.support.leading_observers import Observer, leading
from tests.support.waiting import until

PAGED = {
    "/v1/documents", "/v1/dlq", "/v1/alerts/history", "/v1/silences", "/v1/recoveries", "/v1/incidents", "/v1/diagnoses", "/v1/keys",
    "/v1/tenants",
    "/v1/audit", "/v1/queries",
}  # fmt: skip


async def test_lists_take_the_same_parameters_and_have_the_same_shape(gateway: Gateway) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    shapes = set()
    for path, operations in document["paths"].items():
        names = {parameter["name"]: parameter for parameter in operations.get("get", {}).get("parameters", ())}
        if path not in PAGED:
            assert not {"limit", "cursor"} & names.keys() or "prometheus" in path, path
            continue
        assert (names["limit"]["schema"].get("maximum") or names["limit"]["schema"]["anyOf"][0]["maximum"]) == 200, path
        assert names["cursor"]["schema"]["anyOf"][0] == {"type": "string", "maxLength": 512}, path
        answer = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        listed = [schemas[name] for name in _references(answer) if "next" in schemas[name]["properties"]]
        assert len(listed) == 1, path
        assert "items" in listed[0]["required"]
        shapes.add(str(listed[0]["properties"]["next"]["anyOf"]))
    assert len(shapes) == 1


def _references(schema: dict[str, Any]) -> list[str]:
    return [each["$ref"].rsplit("/", 1)[1] for each in schema.get("anyOf", [schema])]


async def pages(gateway: Gateway, path: str, **parameters: Any) -> list[dict[str, Any]]:
    """All entries, read two at a time."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        asked = {**parameters, "limit": 2, **({} if cursor is None else {"cursor": cursor})}
        page = (await gateway.http.get(path, params=asked)).json()
        assert len(page["items"]) <= 2
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


async def test_silences_and_keys_are_listed_page_by_page(gateway: Gateway) -> None:
    for n in range(5):
        ends_at = (datetime.now(UTC) + timedelta(hours=1 + n)).isoformat()
        body = {"matchers": [f"alertname=A{n}"], "ends_at": ends_at}
        assert (await gateway.http.post("/v1/silences", json=body)).status_code == 201
        assert (await gateway.http.post("/v1/keys", json={"name": f"k{n}", "scopes": ["read"]})).status_code == 201

    silences = await pages(gateway, "/v1/silences")
    keys = await pages(gateway, "/v1/keys", state="active")

    assert [each["matchers"] for each in silences] == [[f'alertname="A{n}"'] for n in (4, 3, 2, 1, 0)]
    assert [each["name"] for each in keys] == ["k4", "k3", "k2", "k1", "k0"]


async def test_documents_are_chosen_by_name_metadata_and_time(gateway: Gateway) -> None:
    for name, topic in (("docs/b", "bees"), ("docs/a", "bees"), ("other", "bees"), ("docs/c", "wasps")):
        body = {"name": name, "text": name, "metadata": {"topic": topic}}
        assert (await gateway.http.post("/v1/documents", json=body)).status_code == 202

    async def all_there() -> bool:
        return len((await gateway.http.get("/v1/documents")).json()["items"]) == 4

    await until(all_there)

    async def names(**parameters: Any) -> list[str]:
        return [each["name"] for each in await pages(gateway, "/v1/documents", **parameters)]

    assert await names(name_prefix="docs/") == ["docs/a", "docs/b", "docs/c"]
    assert await names(metadata="topic=bees") == ["other", "docs/a", "docs/b"]
    assert await names(metadata="topic=bees", name_prefix="docs/") == ["docs/a", "docs/b"]
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert (await names(since=later), len(await names(until=later))) == ([], 4)
    for wrong in ({"metadata": "topic"}, {"metadata": "=x"}, {"since": "yesterday"}, {"name_prefix": ""}):
        assert (await gateway.http.get("/v1/documents", params=wrong)).status_code == 422


@pytest.mark.parametrize("path", sorted(PAGED - {"/v1/alerts/history", "/v1/diagnoses"}))
async def test_a_foreign_cursor_or_too_long_a_page_is_refused(gateway: Gateway, path: str) -> None:
    for wrong in ({"cursor": "nonsense"}, {"limit": 0}, {"limit": 201}):
        refused = await gateway.http.get(path, params=wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request"), wrong


async def test_the_history_of_causes_is_read_page_by_page(gateway: Gateway, broker: Broker) -> None:
    async with leading(broker, Observer()):
        since = {"since": "2026-01-01T00:00:00Z"}
        whole = (await gateway.http.get("/v1/diagnoses", params=since)).json()
        first = (await gateway.http.get("/v1/diagnoses", params={**since, "limit": 1})).json()
        assert first["items"] == whole["items"][:1]
        assert (first["next"] is None) == (len(whole["items"]) == 1)
        for wrong in ({"limit": 1}, {"cursor": "x"}, {**since, "cursor": "x"}):
            assert (await gateway.http.get("/v1/diagnoses", params=wrong)).status_code == 422

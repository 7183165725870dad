"""Alerts, silences, rules and figures over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.alerts import fingerprint
from messaging.broker import Broker
from tests.support.gateways import Gateway
from tests.support.leading_observers import (
    DEAD,
    DEPENDENCIES,
    DIAGNOSES,
    EPISODES,
    FIGURES,
    HEALTH,
    Observer,
    leading,
)

NOW = datetime.now(UTC)


@pytest.fixture
async def observer(broker: Broker) -> AsyncIterator[Observer]:
    made = Observer()
    async with leading(broker, made):
        yield made


async def test_alerts_history_rules_and_figures_are_shown_as_the_observer_says(gateway: Gateway, observer: Observer):
    async def names(**parameters: Any) -> list[str]:
        response = await gateway.http.get("/v1/alerts", params=parameters)
        assert response.status_code == 200
        return [alert["labels"]["alertname"] for alert in response.json()["items"]]

    assert await names() == ["InstanceDead", "Watchdog", "QueriesSlow", "InstanceDead"]
    assert await names(state=["pending", "resolved"]) == ["QueriesSlow", "InstanceDead"]
    assert await names(severity="critical", state="firing") == ["InstanceDead"]
    assert await names(filter=["service!=embed", 'alertname=~"W.*"']) == ["Watchdog"]

    one = (await gateway.http.get(f"/v1/alerts/{fingerprint(DEAD)}")).json()
    assert (one["labels"], one["silenced_by"], one["since"]) == (DEAD, ["s1"], "2026-01-31T11:57:00Z")

    async def history(**parameters: Any) -> dict[str, Any]:
        response = await gateway.http.get("/v1/alerts/history", params=parameters)
        assert response.status_code == 200
        return dict(response.json())

    page = await history(start="2026-01-01T00:00:00Z", limit=1)
    assert [(entry["kind"], entry["state"]) for entry in page["items"]] == [("alert", "resolved")]
    rest = await history(start="2026-01-01T00:00:00Z", limit=1, cursor=page["next"])
    assert ([entry["fingerprint"] for entry in rest["items"]], rest["next"]) == ([fingerprint(DEAD)], None)
    assert [entry["fingerprint"] for entry in (await history())["items"]] == [fingerprint(DEAD)]
    sent = await history(kind="notification", channel="ops-mail", fingerprint=fingerprint(DEAD))
    assert [(entry["channel"], entry["outcome"]) for entry in sent["items"]] == [("ops-mail", "delivered")]

    rules = (await gateway.http.get("/v1/rules")).json()
    assert [group["name"] for group in rules["groups"]] == ["fleet", "queries"]
    assert rules["reload"]["faults"] == [{"file": "mine.yaml", "line": 7, "reason": "a rule needs an expression"}]
    figures = await gateway.http.get("/v1/figures")
    assert figures.json() == FIGURES.model_dump(mode="json")
    diagnoses = await gateway.http.get("/v1/diagnoses")
    assert diagnoses.json() == DIAGNOSES.model_dump(mode="json")
    past = await gateway.http.get("/v1/diagnoses", params={"at": "2026-01-30T00:00:00Z"})
    assert (past.json()["at"], len(past.json()["items"])) == ("2026-01-30T00:00:00Z", 1)
    episodes = await gateway.http.get("/v1/diagnoses", params={"since": "2026-01-01T00:00:00Z"})
    assert episodes.json() == EPISODES.model_dump(mode="json")
    health = await gateway.http.get("/v1/health")
    assert health.json() == HEALTH.model_dump(mode="json")
    for since, components in (("2026-01-31T11:54:00Z", ["index", ""]), ("2026-01-31T11:56:00+00:00", [])):
        changes = (await gateway.http.get("/v1/health", params={"since": since})).json()["changes"]
        assert [change["component"] for change in changes] == components
    assert (await gateway.http.get("/v1/dependencies")).json() == DEPENDENCIES.model_dump(mode="json")
    metrics = await gateway.http.get("/v1/fleet/metrics")
    assert (metrics.text, metrics.headers["content-type"].split(";")[0]) == ("waggle_up 1\n", "text/plain")
    assert (await gateway.http.get("/v1/fleet/metrics", params={"format": "json"})).json() == []

    for path, status in [
        ("/v1/alerts?state=sad", 422),
        ("/v1/alerts?filter=severity", 422),
        ("/v1/alerts/history?start=yesterday", 422),
        ("/v1/alerts/history?start=2&end=1", 422),
        ("/v1/alerts/history?limit=201", 422),
        ("/v1/alerts/history?kind=notification&severity=info", 422),
        ("/v1/alerts/nothex", 422),
        (f"/v1/alerts/{'0' * 16}", 404),
        ("/v1/fleet/metrics?format=xml", 422),
        ("/v1/diagnoses?at=yesterday", 422),
        ("/v1/diagnoses?at=1&since=1", 422),
        ("/v1/health?since=yesterday", 422),
    ]:
        refused = await gateway.http.get(path)
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json"), path
        assert refused.json()["detail"]


async def test_without_an_observer_only_silences_work(gateway: Gateway):
    for path in (
        "/v1/alerts",
        "/v1/alerts/history",
        f"/v1/alerts/{'0' * 16}",
        "/v1/rules",
        "/v1/figures",
        "/v1/diagnoses",
        "/v1/health",
        "/v1/dependencies",
        "/v1/fleet/metrics",
    ):
        response = await gateway.http.get(path)
        assert (response.status_code, response.json()["code"]) == (503, "temporarily_unavailable")
        assert "waggle worker observer" in response.json()["detail"]
    made = await gateway.http.post("/v1/silences", json=silence("severity=info"))
    assert made.status_code == 201


def silence(*matchers: str, hours: float = 1, **more: Any) -> dict[str, Any]:
    return {"matchers": list(matchers), "ends_at": (NOW + timedelta(hours=hours)).isoformat(), **more}


async def test_a_silence_is_made_once_listed_and_ended(gateway: Gateway):
    async def made(body: dict[str, Any], **headers: str) -> dict[str, Any]:
        response = await gateway.http.post("/v1/silences", json=body, headers=headers)
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def listed(**parameters: Any) -> list[tuple[str, str]]:
        items = (await gateway.http.get("/v1/silences", params=parameters)).json()["items"]
        return [(item["id"], item["state"]) for item in items]

    key = {"Idempotency-Key": "a-request"}
    body = silence('alertname="InstanceDead"', "service=~embed|ingest", comment="moving the index")
    told = await made(body, **key)
    assert told["matchers"] == ['alertname="InstanceDead"', 'service=~"embed|ingest"']
    assert (told["state"], told["created_by"], told["comment"]) == ("active", "anonymous", "moving the index")
    assert await made(body, **key) == told
    other = await gateway.http.post("/v1/silences", json=silence("severity=info"), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    pending = await made(silence("severity=info", hours=3, starts_at=(NOW + timedelta(hours=2)).isoformat()))
    assert await listed() == [(pending["id"], "pending"), (told["id"], "active")]
    assert await listed(state=["active", "ended"]) == [(told["id"], "active")]

    for one in (told, pending):
        ended = await gateway.http.delete(f"/v1/silences/{one['id']}")
        assert (ended.status_code, ended.json()["state"], ended.json()["ended_by"]) == (200, "ended", "anonymous")
        assert (await gateway.http.delete(f"/v1/silences/{one['id']}")).json() == ended.json()
    assert (await gateway.http.delete("/v1/silences/unheard-of")).status_code == 404

    for refused, said in [
        (silence(), "matchers"),
        (silence("severity"), "is not a matcher"),
        (silence('a=~"("'), "not a valid regular expression"),
        (silence('team=~".*"'), "matches alerts that have none of its labels"),
        (silence("severity=info", hours=-1), "in the future"),
        (silence("severity=info", starts_at=(NOW + timedelta(hours=2)).isoformat()), "after starts_at"),
        (silence("severity=info", hours=24 * 400), "365 days"),
        ({"matchers": ["severity=info"]}, "ends_at"),
        (silence("severity=info", created_by="root"), "created_by"),
    ]:
        response = await gateway.http.post("/v1/silences", json=refused)
        assert (response.status_code, said in response.json()["detail"]) == (422, True), response.json()

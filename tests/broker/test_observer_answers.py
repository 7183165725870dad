"""The observer that leads answers for its rules and alerts, as the gateway shows them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import ObserverSettings
from deploy.local.nats_server import NatsServer
from tests.support.commands import Command
from tests.support.gateways import Gateway
from tests.support.waiting import until
from tests.support.workers import running
from workers.observer.rhythm import Rhythm
from workers.observer.worker import build

RULES = """
groups:
- name: fleet
  interval: 200ms
  rules:
  - record: one
    expr: vector(1)
  - alert: Down
    expr: one > 0
    labels: {severity: critical, service: embed}
    annotations: {summary: 'down since {{ $value }}'}
  - alert: Soon
    expr: one * 2.5
    for: 1h
    labels: {severity: warning}
- name: calm
  rules:
  - alert: Never
    expr: one > 1
"""
FAULTY = "groups: [{name: x, rules: [{alert: Bad, expr: 'one >'}]}]"
WAIT_S = 60.0
API = "/v1/prometheus/api/v1"


@pytest.fixture
async def observed(gateway: Gateway, nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Gateway]:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(RULES, encoding="utf-8")
    (folder / "b.yaml").write_text(FAULTY, encoding="utf-8")
    settings = ObserverSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        instance="observer-1",
        observer_port=0,
        rules=str(folder),
        shipped_rules=False,
        rule_interval_s=1,
    )
    rhythm = Rhythm(warm_up_s=0, look_s=0.1, poll_s=0.5, candidacy_s=0.2, settle=timedelta())
    async with running(build(settings, rhythm=rhythm)):

        async def everything_is_evaluated() -> bool:
            response = await gateway.http.get("/v1/rules")
            groups = response.json()["groups"] if response.status_code == 200 else []
            return bool(groups) and all(rule["health"] == "ok" for group in groups for rule in group["rules"])

        await until(everything_is_evaluated, timeout_s=WAIT_S)
        yield gateway


async def get(gateway: Gateway, path: str, **parameters: Any) -> Any:
    response = await gateway.http.get(path, params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


async def test_alerts_rules_silences_and_history(observed: Gateway):
    gateway = observed
    down, soon = (await get(gateway, "/v1/alerts"))["items"]
    assert (down["state"], down["rule"], down["group"], down["value"]) == ("firing", "Down", "fleet", 1.0)
    assert down["annotations"] == {"summary": "down since 1"}
    assert (soon["state"], soon["value"], soon["fired_at"]) == ("pending", 2.5, None)
    assert await get(gateway, f"/v1/alerts/{down['fingerprint']}") == down
    assert [a["rule"] for a in (await get(gateway, "/v1/alerts", severity="warning"))["items"]] == ["Soon"]

    rules = await get(gateway, "/v1/rules")
    fleet = next(group for group in rules["groups"] if group["name"] == "fleet")
    assert [(rule["name"], rule["kind"], rule["state"]) for rule in fleet["rules"]] == [
        ("one", "recording", "inactive"),
        ("Down", "alerting", "firing"),
        ("Soon", "alerting", "pending"),
    ]
    assert (fleet["interval_s"], fleet["rules"][2]["for_s"]) == (0.2, 3600.0)
    (fault,) = rules["reload"]["faults"]
    assert (rules["reload"]["successful"], Path(fault["file"]).name, fault["line"]) == (False, "b.yaml", 1)

    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"matchers": ["alertname=Down"], "ends_at": ends_at}
    silence = (await gateway.http.post("/v1/silences", json=body)).json()

    async def silenced_by() -> list[str]:
        return list((await get(gateway, f"/v1/alerts/{down['fingerprint']}"))["silenced_by"])

    async def is_silenced() -> bool:
        return await silenced_by() == [silence["id"]]

    await until(is_silenced, timeout_s=WAIT_S)

    async def is_told() -> bool:
        entries = (await get(gateway, "/v1/alerts/history", filter="service=embed"))["items"]
        return [(entry["state"], entry["fingerprint"]) for entry in entries] == [("firing", down["fingerprint"])]

    await until(is_told, timeout_s=WAIT_S)
    assert (await get(gateway, "/v1/alerts/history", kind="notification"))["items"] == []
    assert (await get(gateway, "/v1/alerts/history", severity="warning"))["items"] == []


async def test_rules_are_put_in_force_and_removed_while_everything_runs(observed: Gateway, tmp_path: Path):
    waggle, file = Command(environment={"WAGGLE_URL": observed.url}), tmp_path / "mine.yaml"

    async def firing() -> set[str]:
        return {alert["rule"] for alert in (await get(observed, "/v1/alerts", state="firing"))["items"]}

    async def fires() -> bool:
        return "Mine" in await firing()

    async def is_over() -> bool:
        return "Mine" not in await firing()

    file.write_text("groups: [{name: mine, interval: 200ms, rules: [{alert: Mine, expr: one > 0}]}]", encoding="utf-8")
    ran = await waggle("rules", "put", "mine", str(file))
    assert (ran.code, ran.out.strip()) == (0, "1 rule in force as mine.")
    await until(fires, timeout_s=WAIT_S)

    file.write_text(FAULTY, encoding="utf-8")
    refused = await waggle("rules", "put", "mine", str(file))
    assert refused.code == 2
    assert "mine.yaml:1:" in refused.err
    reply = await observed.http.put("/v1/rules/mine", json={"text": FAULTY})
    assert (reply.status_code, "config/rules.mine:1:" in reply.json()["detail"]) == (422, True)
    assert await fires()

    assert (await waggle("rules", "rm", "mine")).code == 0
    await until(is_over, timeout_s=WAIT_S)
    assert (await waggle("rules", "rm", "mine")).code == 1
    assert (await observed.http.put("/v1/rules/a.b", json={"text": FAULTY})).status_code == 422


async def test_prometheus_is_told_in_its_own_shapes(observed: Gateway):
    gateway = observed
    alerts = (await get(gateway, f"{API}/alerts"))["data"]["alerts"]
    assert [(alert["labels"]["alertname"], alert["state"], alert["value"]) for alert in alerts] == [
        ("Down", "firing", "1e+00"),
        ("Soon", "pending", "2.5e+00"),
    ]

    async def names(**parameters: Any) -> list[str]:
        groups = (await get(gateway, f"{API}/rules", **parameters))["data"]["groups"]
        return sorted(rule["name"] for group in groups for rule in group["rules"])

    assert await names() == ["Down", "Never", "Soon", "one"]
    assert await names(type="record") == ["one"]
    assert await names(type="alert", **{"rule_group[]": ["fleet", "x"], "rule_name[]": ["Down", "Never"]}) == ["Down"]
    assert await names(**{"file[]": "other.yaml"}) == []
    bare = (await get(gateway, f"{API}/rules", exclude_alerts="true", type="alert"))["data"]["groups"]
    assert not any(rule.get("alerts") for group in bare for rule in group["rules"])

    recorded = (await get(gateway, f"{API}/query", query='count(ALERTS{alertstate="firing"}) * one'))["data"]
    assert [sample["value"][1] for sample in recorded["result"]] == ["1"]
    figures = (await get(gateway, "/v1/figures"))["items"]
    assert {figure["layer"] for figure in figures} == {"application", "service", "infrastructure", "business"}
    assert next(f for f in figures if f["name"] == "availability")["status"] == "unknown", "nobody has asked anything"

    for parameters, said in [
        ({"type": "alarm"}, "alarm"),
        ({"match[]": "{a='b'}"}, "rule_name[]"),
        ({"exclude_alerts": "perhaps"}, "exclude_alerts"),
    ]:
        refused = await gateway.http.get(f"{API}/rules", params=parameters)
        assert (refused.status_code, refused.json()["errorType"]) == (400, "bad_data")
        assert said in refused.json()["error"]


async def test_a_command_says_what_of_now_its_silence_mutes(observed: Gateway):
    waggle = Command(environment={"WAGGLE_URL": observed.url})
    ran = await waggle("alerts", "silence", "alertname=Down", "--for", "1h", "--json")
    assert ([alert["rule"] for alert in ran.json["mutes"]], ran.json["silence"]["state"]) == (["Down"], "active")

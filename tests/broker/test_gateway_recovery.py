"""Recoveries, incidents, the pause and answers over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeter

from contracts import subjects, topology
from contracts.incidents import incident_id
from contracts.observing import Parameters, RequestKind
from contracts.recovery import Verdict
from contracts.recovery_views import RecoveryPlanView
from messaging.alert_events import AlertEvents
from messaging.broker import Broker
from messaging.diagnosis_records import BucketEpisodes
from messaging.observing import Answer, ObserverOffice
from messaging.recovery.audit import RecoveryLog
from observability.diagnosis.records import EpisodeRecord
from tests.support import repairs
from tests.support.gateways import Gateway
from tests.support.subscriptions import known_to_broker

NOW = datetime.now(UTC)
INCIDENT = repairs.INCIDENT
POLICY = {"ladders": {"memory_leak": [{"action": "restart_service", "mode": "auto"}]}}
PLAN = RecoveryPlanView(at=repairs.at(10), items=(repairs.decision(Verdict.DRY_RUN),))


@pytest.fixture
async def observer(broker: Broker) -> AsyncIterator[None]:
    """Answers what the one that leads answers about recovery."""

    async def policy(_: Parameters) -> Answer:
        return Answer(body=json.dumps(POLICY).encode())

    async def plan(_: Parameters) -> Answer:
        return Answer.of(PLAN)

    handlers = {RequestKind.RECOVERY_POLICY: policy, RequestKind.RECOVERY_PLAN: plan}
    office = ObserverOffice(broker, handlers, instance="observer-1", meter=NoOpMeter("test"))
    answering = asyncio.create_task(office.run())
    await asyncio.sleep(0)
    await known_to_broker(broker)
    yield
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)


@pytest.fixture
async def repaired(broker: Broker) -> None:
    """A worker died a minute ago, and was restarted."""
    shift = NOW - timedelta(minutes=1) - repairs.BEGAN
    audit = RecoveryLog(broker)
    await AlertEvents(broker).publish(_later(repairs.alert(), shift))
    episode = EpisodeRecord(
        began_at=repairs.at(5) + shift,
        last_seen_at=repairs.at(31) + shift,
        ended_at=repairs.at(31) + shift,
        diagnosis=repairs.diagnosis(),
    )
    await BucketEpisodes(broker).write(episode, revision=0)
    await audit.record(_later(repairs.decision(), shift))
    for subject, event in (
        (subjects.recovery_command(repairs.TARGET), _later(repairs.command(), shift)),
        (subjects.recovery_result("c-1"), _later(repairs.result(), shift)),
    ):
        await broker.publish(subject, event, stream=topology.OPS, message_id=f"{type(event).__name__}.{event.id}")
    await audit.record(_later(repairs.verification(), shift))


async def test_recoveries_are_listed_in_pages_and_chosen(gateway: Gateway, repaired: None):
    async def listed(**parameters: Any) -> dict[str, Any]:
        response = await gateway.http.get("/v1/recoveries", params=parameters)
        assert response.status_code == 200, response.text
        return dict(response.json())

    whole = await listed()
    assert [each["kind"] for each in whole["items"]] == ["decision", "command", "result", "verification"]
    assert whole["next"] is None
    assert "signature" not in str(whole)
    page = await listed(limit=3)
    assert [each["kind"] for each in (await listed(limit=3, cursor=page["next"]))["items"]] == ["verification"]
    assert [each["id"] for each in (await listed(verdict="act"))["items"]] == ["d-act-10"]
    assert (await listed(verdict="withheld"))["items"] == []
    assert (await listed(incident="another"))["items"] == []
    assert len((await listed(incident=INCIDENT, kind=["command", "result"]))["items"]) == 2
    assert (await listed(until=(NOW - timedelta(days=1)).isoformat()))["items"] == []


async def test_incidents_are_listed_and_shown_whole_without_an_observer(gateway: Gateway, repaired: None):
    listed = (await gateway.http.get("/v1/incidents")).json()
    (summary,) = listed["items"]
    assert listed["complete"]
    assert (summary["id"], summary["state"], summary["next"]) == (INCIDENT, "recovered", "Nothing: it is repaired.")
    assert "timeline" not in summary
    whole = (await gateway.http.get(f"/v1/incidents/{INCIDENT}")).json()
    assert {name: whole[name] for name in summary} == summary
    kinds = [entry["kind"] for entry in whole["timeline"]]
    assert kinds == ["alert", "diagnosis", "decision", "action", "result", "diagnosis", "verification"]
    assert [entry["captured"] for entry in whole["timeline"] if entry["captured"]] == ["the last line of its log"]
    earlier = await gateway.http.get("/v1/incidents", params={"until": (NOW - timedelta(hours=3)).isoformat()})
    assert earlier.json()["items"] == []
    assert (await gateway.http.get("/v1/incidents/nothing")).status_code == 404


async def test_one_incident_is_shown_as_it_is_listed_whatever_came_close_before(
    gateway: Gateway, broker: Broker, repaired: None
):
    """What fired on through the next one began before the first was repaired: who reads one has to know of both repairs."""
    shift = NOW - timedelta(minutes=1) - repairs.BEGAN
    service = {"alertname": "EmbedSlow", "severity": "warning", "service": "embed"}
    await AlertEvents(broker).publish(_later(repairs.alert(starts=35, labels=service), shift))
    began = repairs.at(100) + shift
    again = EpisodeRecord(began_at=began, last_seen_at=began, diagnosis=repairs.diagnosis())
    await BucketEpisodes(broker).write(again, revision=0)

    listed = (await gateway.http.get("/v1/incidents")).json()["items"]

    assert [item["id"] for item in listed] == [incident_id(repairs.FINGERPRINT, began), INCIDENT]
    for item in listed:
        whole = (await gateway.http.get(f"/v1/incidents/{item['id']}")).json()
        assert {name: whole[name] for name in item} == item
        fires = [entry["said"] for entry in whole["timeline"] if entry["said"].startswith("Alert EmbedSlow")]
        assert len(fires) == (1 if item["id"] == INCIDENT else 0)


async def test_repairs_are_paused_looked_at_and_resumed(gateway: Gateway):
    assert (await gateway.http.get("/v1/recovery/pause")).json()["paused"] is False
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"reason": "moving the index", "ends_at": ends_at, "claimed_by": "ann@host"}
    made = await gateway.http.put("/v1/recovery/pause", json=body)
    assert made.status_code == 200, made.text
    shown = (await gateway.http.get("/v1/recovery/pause")).json()
    assert shown == made.json()
    assert (shown["paused"], shown["reason"], shown["claimed_by"]) == (True, "moving the index", "ann@host")
    assert (await gateway.http.delete("/v1/recovery/pause")).json()["paused"] is False
    assert (await gateway.http.get("/v1/recovery/pause")).json()["paused"] is False
    for wrong in ({**body, "ends_at": "2020-01-01T00:00:00Z"}, {**body, "reason": " "}, {"reason": "for ever"}):
        assert (await gateway.http.put("/v1/recovery/pause", json=wrong)).status_code == 422


async def test_a_decision_is_answered_once(gateway: Gateway, broker: Broker):
    waiting = repairs.decision(Verdict.AWAIT_APPROVAL, created_at=datetime.now(UTC))
    await RecoveryLog(broker).record(waiting)
    body = {"decision": waiting.id, "approved": True, "reason": "it hangs", "claimed_by": "ann@host"}
    given = await gateway.http.post("/v1/recovery/approvals", json=body)
    assert (given.status_code, given.json()["incident"]) == (200, INCIDENT)
    assert (await gateway.http.post("/v1/recovery/approvals", json=body)).json() == given.json()
    other = await gateway.http.post("/v1/recovery/approvals", json={**body, "approved": False})
    assert other.status_code == 409
    assert "ann@host said yes" in other.json()["detail"]
    unknown = await gateway.http.post("/v1/recovery/approvals", json={**body, "decision": "nothing"})
    assert unknown.status_code == 404


async def test_policy_and_plan_are_as_the_observer_says(gateway: Gateway, observer: None):
    assert (await gateway.http.get("/v1/recovery/policy")).json() == POLICY
    assert (await gateway.http.get("/v1/recovery/plan")).json() == PLAN.model_dump(mode="json")


async def test_without_an_observer_there_is_no_policy_and_no_plan(gateway: Gateway):
    for path in ("/v1/recovery/policy", "/v1/recovery/plan"):
        refused = await gateway.http.get(path)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/recoveries?since=yesterday",
        "/v1/recoveries?verdict=dance",
        "/v1/recoveries?limit=201",
        "/v1/incidents?since=2026-01-31T12:00:00",
        "/v1/incidents?since=2026-01-31T12:00:00Z&until=2026-01-31T12:00:00Z",
        "/v1/incidents/a.b",
    ],
)
async def test_what_cannot_be_meant_is_refused(gateway: Gateway, path: str):
    refused = await gateway.http.get(path)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")


def _later(event: Any, shift: timedelta) -> Any:
    """The same event, so much later."""
    moments = {
        name: value + shift for name in type(event).model_fields if isinstance(value := getattr(event, name), datetime)
    }
    return event.model_copy(update=moments)

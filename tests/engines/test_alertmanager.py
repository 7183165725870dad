"""A real Alertmanager: as our receiver, and as what our routes, fingerprints and payload are held against."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from contracts.alerts import AlertEvent
from contracts.notifications import SendReason
from observability.notifications.channels import Notifier, build_notifier
from observability.notifications.configuration import AlertmanagerModel, parse_config
from observability.notifications.notification import Notification
from observability.notifications.rendering.payload import webhook_payload
from observability.notifications.routing import route_tree
from tests.support.alertmanager import Alertmanager, amtool
from tests.support.receivers import HttpReceiver
from tests.support.waiting import until

WAIT_S = 60.0
CASES = 40
LABELS_OF_EACH = 8


def alert(now: datetime, *, over: bool = False, **labels: str) -> AlertEvent:
    started = now.replace(microsecond=0) - timedelta(minutes=5)
    return AlertEvent.of(
        {"alertname": "HighErrorRate", "severity": "critical", **labels},
        starts_at=started,
        ends_at=now if over else None,
        annotations={"summary": "too high 太高"},
        generator_url="https://waggle.example/rules",
    )


def notification(now: datetime, *alerts: AlertEvent) -> Notification:
    return Notification(
        id="n1",
        group_key="{}:{}",
        receiver="team",
        channel="am",
        reason=SendReason.FIRST,
        group_labels={"alertname": "HighErrorRate"},
        firing=tuple(each for each in alerts if each.is_firing),
        resolved=tuple(each for each in alerts if not each.is_firing),
        at=now,
    )


@pytest.fixture
async def hook() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver.running() as receiver:
        yield receiver


@pytest.fixture
def alertmanager(tmp_path: Path, hook: HttpReceiver) -> Any:
    config = {
        "route": {"receiver": "team", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "team", "webhook_configs": [{"url": f"{hook.url}/hook"}]}],
    }
    with Alertmanager(tmp_path, yaml.safe_dump(config)) as running:
        yield running


@pytest.fixture
async def notifier(alertmanager: Alertmanager) -> AsyncIterator[Notifier]:
    model = AlertmanagerModel(kind="alertmanager", url=alertmanager.url)
    notifier = build_notifier(model, allowed_networks=[ip_network("127.0.0.0/8")], clock=lambda: datetime.now(UTC))
    yield notifier
    await notifier.close()


async def active(alertmanager: Alertmanager) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        found = (await client.get(f"{alertmanager.url}/api/v2/alerts", timeout=WAIT_S)).raise_for_status().json()
    return list(found)


async def test_it_takes_our_alerts_and_gives_them_our_fingerprints(
    alertmanager: Alertmanager, notifier: Notifier
) -> None:
    now = datetime.now(UTC)
    sent = [alert(now, service="embed"), alert(now, service="嵌入", note='with "quotes" \\ and\nlines')]

    await notifier.send(notification(now, *sent))

    found = {each["fingerprint"]: each for each in await active(alertmanager)}
    assert set(found) == {each.fingerprint for each in sent}
    for each in sent:
        assert found[each.fingerprint]["labels"] == each.labels
        assert found[each.fingerprint]["annotations"] == each.annotations
        assert datetime.fromisoformat(found[each.fingerprint]["startsAt"]) == each.starts_at
        assert datetime.fromisoformat(found[each.fingerprint]["endsAt"]) == pytest.approx(
            now + timedelta(minutes=20), abs=timedelta(seconds=1)
        )


async def test_it_takes_an_alert_to_be_over_when_we_say_so(alertmanager: Alertmanager, notifier: Notifier) -> None:
    now = datetime.now(UTC)
    await notifier.send(notification(now, alert(now)))
    assert len(await active(alertmanager)) == 1

    await notifier.send(notification(now, alert(now, over=True)))

    async def is_over() -> bool:
        return not await active(alertmanager)

    await until(is_over, timeout_s=WAIT_S)


async def test_our_webhook_payload_is_the_one_that_it_sends(
    alertmanager: Alertmanager, notifier: Notifier, hook: HttpReceiver
) -> None:
    now = datetime.now(UTC)
    sent = notification(now, alert(now, service="embed"), alert(now, service="ingest"))
    await notifier.send(sent)
    await until(lambda: any(len(got.json["alerts"]) == 2 for got in hook.received), timeout_s=WAIT_S)
    theirs = next(got.json for got in hook.received if len(got.json["alerts"]) == 2)
    ours = json.loads(json.dumps(webhook_payload(sent, max_alerts=500)))

    assert theirs.keys() == ours.keys()
    for name in (
        "version",
        "status",
        "receiver",
        "groupLabels",
        "commonLabels",
        "commonAnnotations",
        "truncatedAlerts",
    ):
        assert theirs[name] == ours[name], name
    by_fingerprint = {each["fingerprint"]: each for each in theirs["alerts"]}
    for each in ours["alerts"]:
        their = by_fingerprint[each["fingerprint"]]
        assert their.keys() == each.keys()
        assert {k: v for k, v in their.items() if not k.endswith("At")} == {
            k: v for k, v in each.items() if not k.endswith("At")
        }
        assert their["endsAt"] == each["endsAt"]


@pytest.mark.parametrize("seed", range(CASES))
def test_our_routes_lead_where_amtools_do(seed: int, tmp_path: Path) -> None:
    """The same tree of routes, read by both; then alerts of all sorts."""
    chance = random.Random(seed)
    receivers = [f"r{number}" for number in range(6)]
    tree = {"receiver": "r0", "routes": [branch(chance, receivers, 1) for _ in range(chance.randint(1, 4))]}
    document = {"route": tree, "receivers": [{"name": name} for name in receivers]}
    file = tmp_path / "routes.yml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    ours = route_tree(parse_config(file.read_text(encoding="utf-8")))
    for _ in range(LABELS_OF_EACH):
        labels = {
            name: chance.choice(["a", "b", "ab", "c d", "x|y"]) for name in chance.sample("pqrs", chance.randint(1, 4))
        }
        command = [amtool(), "config", "routes", "test", f"--config.file={file}"]
        ran = subprocess.run(
            [*command, *(f'{name}="{text}"' for name, text in labels.items())],
            capture_output=True, text=True, check=True, timeout=WAIT_S,
        )  # fmt: skip

        assert [route.receiver.name for route in ours.matching(labels)] == ran.stdout.strip().split(","), (
            labels,
            document,
        )


def branch(chance: random.Random, receivers: list[str], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {
        "matchers": [matcher(chance) for _ in range(chance.randint(1, 2))],
        "continue": chance.random() < 0.4,
    }
    if chance.random() < 0.8:
        made["receiver"] = chance.choice(receivers)
    if depth < 4 and chance.random() < 0.5:
        made["routes"] = [branch(chance, receivers, depth + 1) for _ in range(chance.randint(1, 3))]
    return made


def matcher(chance: random.Random) -> str:
    operator = chance.choice(["=", "!=", "=~", "!~"])
    value = chance.choice(
        ["a", "b", "ab", "c d", ""] if "~" not in operator else ["a|b", "a.*", ".+", "", "(a|c).*", "x\\\\|y"]
    )
    return f'{chance.choice("pqrs")}{operator}"{value}"'

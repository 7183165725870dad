"""The observer of a whole stack: figures, dashboards, and an alert that comes and goes."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import Any

import psutil
import pytest

from tests.e2e.waggle import Waggle
from tests.support import promtool
from tests.support.dashboards import dashboard_queries
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(1500)

QUESTION = "How do bees keep warm in winter?"
ZERO = re.compile(r"\s+or\s+vector\(0\)")
"""What panels show where nothing of what they count has happened."""


@pytest.fixture(scope="module")
def asked(waggle: Waggle, tmp_path_factory: pytest.TempPathFactory) -> Waggle:
    """A stack that has made a document searchable and answered a question, long enough ago for rates to show it."""
    file = tmp_path_factory.mktemp("observed") / "winter.txt"
    file.write_text("In winter bees keep warm in a cluster around their queen.", encoding="utf-8")
    waggle("ingest", str(file))
    waggle("ask", QUESTION)
    return waggle


def query(waggle: Waggle, expression: str) -> list[dict[str, Any]]:
    """The series of the last minutes, as Grafana asks for them."""
    now = time.time()
    form = {"query": expression, "start": now - 300, "end": now, "step": 15}
    with waggle.http() as http:
        reply = http.post("/v1/prometheus/api/v1/query_range", data=form)
    assert reply.status_code == 200, f"{expression}: {reply.text}"
    result: list[dict[str, Any]] = reply.json()["data"]["result"]
    return result


async def test_key_figures_of_all_layers_have_a_value(asked: Waggle) -> None:
    def unknown() -> set[str]:
        figures = asked.json("figures")["items"]
        assert {figure["layer"] for figure in figures} == {"application", "service", "infrastructure", "business"}
        return {figure["name"] for figure in figures if figure["status"] == "unknown"}

    async def all_known() -> bool:
        asked("ask", QUESTION)
        return unknown() <= {"cost"}  # nobody has said what tokens cost

    await until(all_known, timeout_s=120)
    uptime = {component["component"]: component for component in asked.json("figures")["uptime"]}
    assert uptime["retrieve"]["alive"] == 2


async def test_no_panel_of_a_dashboard_is_empty(asked: Waggle) -> None:
    queries = list(dashboard_queries())
    happening = [query for query in queries if not ZERO.search(query.expression)]
    assert len(happening) > 70

    empty: list[str] = []

    async def all_show_something() -> bool:
        asked("ask", QUESTION)
        empty[:] = [str(each) for each in queries if not query(asked, each.expression)]
        return not empty

    try:
        await until(all_show_something, timeout_s=120)
    except AssertionError:
        pytest.fail(f"these panels show nothing: {empty}")


async def test_a_worker_that_hangs_is_an_alert_until_it_goes_on(waggle: Waggle) -> None:
    members = waggle.json("status")["items"]
    hanging = next(member for member in members if member["instance"] == "generate-2")
    wanted = ("--filter", f"instance={hanging['instance']}")

    def states() -> list[str]:
        entries = waggle.json("alerts", "history", "--since", "30m", *wanted)["items"]
        return [entry["state"] for entry in entries if entry["labels"]["alertname"] == "InstanceDead"]

    before = len(states())
    process = psutil.Process(hanging["pid"])
    process.send_signal(signal.SIGSTOP)
    try:
        await until(lambda: states()[before:] == ["firing"], timeout_s=90, what="an alert fires")
    finally:
        process.send_signal(signal.SIGCONT)
    await until(lambda: states()[before:] == ["firing", "resolved"], timeout_s=90, what="it is over")
    assert "Watchdog" in {alert["rule"] for alert in waggle.json("alerts", "ls")["items"]}


async def test_the_stack_is_healthy_and_knows_who_needs_what(waggle: Waggle) -> None:
    def is_healthy() -> bool:
        ran = waggle("health", "--json", code=None)
        return ran.returncode == 0 and json.loads(ran.stdout)["status"] == "healthy"

    await until(is_healthy, timeout_s=300, what="every component is healthy")
    components = {component["name"]: component for component in waggle.json("health")["components"]}
    assert components["index"]["latency_ms"] is not None
    assert {instance["service"] for instance in components["index"]["instances"]} >= {"embed", "retrieve"}
    needs = {item["component"]: item["needs"] for item in waggle.json("graph")["items"]}
    assert "index" in needs["retrieve"]
    assert "index" in needs["embed"]
    assert "index" in waggle("graph").stdout


def test_the_figures_of_the_fleet_are_what_prometheus_takes(waggle: Waggle) -> None:
    with waggle.http() as http:
        text = http.get("/v1/fleet/metrics").text
        told = http.get("/v1/fleet/metrics", params={"format": "json"}).json()
    checked = promtool.run("check", "metrics", text=text)
    assert checked.returncode == 0, checked.stderr
    assert 'waggle_up{instance="retrieve-2",service="retrieve"} 1.0' in text
    assert told

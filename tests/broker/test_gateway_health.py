"""What `/health/ready` says of the fleet behind the gateway."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import TransientError
from contracts.health import ProcessState
from contracts.settings import ProcessSettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.fleet import FleetView
from tests.support.gateways import Gateway, running_gateway
from tests.support.waiting import until
from tests.support.workers import running


async def backends(gateway: Gateway) -> dict[str, Any]:
    """The check of that name; the gateway itself is ready all the time."""
    response = await gateway.http.get("/health/ready")
    assert response.status_code == 200
    (check,) = (check for check in response.json()["checks"] if check["name"] == "backends")
    return dict(check)


async def test_what_a_worker_waits_for_is_named_without_its_address_and_without_judging_the_gateway(
    gateway: Gateway, process_settings: ProcessSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)
    away = True

    async def look() -> None:
        if away:
            raise TransientError("http://10.0.0.7:8000/v1 cannot be reached")

    app = WorkerApp(process_settings, service="generate")
    app.on_startup(app.breaker("generator", look).check)
    assert (await backends(gateway))["status"] == "ok"
    async with running(app):

        async def is_told() -> bool:
            return bool((await backends(gateway))["status"] == "failing")

        await until(is_told)
        assert (await backends(gateway))["detail"] == "generator (generate 1); their checks say why"
        away = False

        async def is_well() -> bool:
            return bool((await backends(gateway))["status"] == "ok")

        await until(is_well)


async def test_a_gateway_that_stops_says_so_at_its_end(broker: Broker, nats_server: NatsServer) -> None:
    """Who falls silent without a word is taken for dead."""
    view = FleetView(broker, service="gateway")
    await view.start()
    async with running_gateway(nats_server.url, instance="gateway-1") as started:
        await started.ready()

        def heard() -> list[ProcessState]:
            return [member.heartbeat.state for member in view.members()]

        await until(lambda: heard() == [ProcessState.READY])
    await until(lambda: heard() == [ProcessState.DRAINING])
    await view.stop()

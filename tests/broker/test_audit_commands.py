"""`waggle audit` as people run it, and commands that act through the broker."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from cli import instances
from cli.acting import reachable
from contracts import topology
from contracts.audit import ActOutcome, AdminAct
from contracts.platform_errors import UnknownTargetError
from deploy.local.nats_server import NatsServer
from messaging.audit import AuditLog
from messaging.broker import Broker
from tests.support.commands import Command
from tests.support.gateways import Gateway


async def test_what_was_done_is_listed(broker: Broker, gateway: Gateway) -> None:
    waggle = Command("audit", environment={"WAGGLE_URL": gateway.url, "COLUMNS": "240"})
    assert (await waggle()).out.startswith("Nothing was done")
    for weight in (2, 3):
        await gateway.http.put("/v1/tenants/acme", json={"weight": weight})
    await gateway.http.delete("/v1/silences/unheard-of")

    shown = await waggle()
    listed = (await waggle("--json")).json

    assert [line.split()[2] for line in shown.out.splitlines() if "acme" in line] == ["agree", "agree"]
    assert ("weight: 3.0" in shown.out, "anonymous" in shown.out, "127.0.0.1" in shown.out) == (True, True, True)
    assert [each["outcome"] for each in listed["items"]] == ["done", "done", "refused"]
    cut = await waggle("--limit", "1", "--json")
    assert ([each["action"] for each in cut.json["items"]], cut.json["more"]) == (["end_silence"], True)
    assert [each["target"] for each in (await waggle("--kind", "tenants", "--json")).json["items"]] == ["acme", "acme"]
    assert (await waggle("--principal", "nobody", "--json")).json["items"] == []
    assert (await waggle("--kind", "nonsense")).code == 2


async def test_a_command_that_acts_through_the_broker_is_told(broker: Broker, nats_server: NatsServer) -> None:
    waggle = Command("cache", environment={"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_CACHE": "nats"})

    assert (await waggle("clear", "--tenant", "acme")).code == 0

    (told,) = (await AuditLog(broker).page()).events
    assert (told.kind, told.action, told.target, told.outcome) == ("cache", "clear", "acme", "done")  # type: ignore[union-attr]  # an act
    assert told.principal.startswith("broker:")


@pytest.mark.parametrize(("refused", "outcome"), [(False, ActOutcome.DONE), (True, ActOutcome.REFUSED)])
async def test_what_is_done_to_processes_is_told_beside_it(
    broker: Broker,
    nats_server: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    refused: bool,
    outcome: str,
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", nats_server.url)
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(tmp_path))

    with pytest.raises(UnknownTargetError) if refused else nullcontext():
        async with reachable("audit") as reached, instances._told(reached, "scale", "embed", "to 2"):
            if refused:
                raise UnknownTargetError("There is no service embed.")

    (told,) = (await AuditLog(broker).page()).events
    assert isinstance(told, AdminAct)
    assert (told.kind, told.action, told.target, told.detail) == ("control", "scale", "embed", "to 2")
    assert told.outcome is outcome


@pytest.mark.parametrize("command", [("keys", "bootstrap"), ("cache", "clear", "--all")])
async def test_where_the_audit_takes_nothing_it_says_so_and_does_it(
    broker: Broker, nats_server: NatsServer, command: tuple[str, ...]
) -> None:
    await broker.js.delete_stream(topology.OPS.name)
    environment = {"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_CACHE": "nats", "WAGGLE_PUBLISH_TIMEOUT_S": "1"}

    ran = await Command(command[0], environment=environment)(*command[1:])

    assert (ran.code, "audit will not have this" in ran.err) == (0, True), ran.err

"""`waggle config …` for the running fleet, as people run it, with a gateway and a worker on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.settings import GenerateSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from tests.support.commands import Command, Ran
from tests.support.gateways import Gateway
from tests.support.waiting import until
from tests.support.workers import running
from workers.generate.worker import build


@pytest.fixture
def config(gateway: Gateway, tmp_path: Path) -> Command:
    environment = {"WAGGLE_URL": gateway.url, "WAGGLE_DATA_DIR": str(tmp_path / "data"), "LOGNAME": "ada"}
    return Command("config", environment=environment)


@pytest.fixture
async def worker(nats_server: NatsServer, broker: Broker, table: Topology, tmp_path: Path) -> AsyncIterator[None]:
    settings = GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path, instance="one")
    async with running(build(settings, table=table)):
        yield


async def test_settings_are_changed_looked_at_and_gone_back_to(config: Command, worker: None) -> None:
    made = await config("set", "answer_sentences=1", "reranking=off", "--because", "short answers", "--json")
    assert made.code == 0, made.err
    assert (made.json["number"], made.json["values"]) == (1, {"answer_sentences": 1, "reranking": False})
    assert made.json["claimed_by"].startswith("ada@")
    unset = await config("unset", "reranking", "--because", "no need")
    assert (unset.code, "Revision 2, " in unset.out) == (0, True)

    back = await config("rollback", "0", "--because", "they were too short", "--json")
    assert (back.code, back.json["number"], back.json["restores"], back.json["values"]) == (0, 3, 0, {})
    shown = await config("history")
    assert "they were too short" in shown.out
    assert "answer_sentences: 1 → unset" in shown.out

    async def applied() -> bool:
        told = (await config("show", "--live", "--json")).json["applied"]
        return {each["service"]: each["revision"] for each in told} == {"gateway": 3, "generate": 3}

    await until(applied)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("set", "answer_sentences=11", "--because", "x"), 2, "Nothing was changed: answer_sentences: "),
        (("set", "top_k=7", "--because", "x", "--if-revision", "4"), 1, "revision 0 is current, not 4"),
        (("rollback",), 1, "nothing to go back to"),
    ],
)
async def test_refusals_end_with_a_code_and_say_what_to_do(
    config: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    ran: Ran = await config(*arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said.lower() in ran.err.lower()

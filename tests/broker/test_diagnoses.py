"""Diagnoses on a real broker: found by the observer that leads, kept over its end, and asked for through the gateway."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.diagnoses import Cause, Diagnosis, Evidence, Subject
from contracts.settings import ObserverSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.diagnosis_records import BucketEpisodes
from observability.diagnosis import EpisodeRecord
from tests.support.commands import Command
from tests.support.gateways import Gateway
from tests.support.observers import HandFed
from tests.support.waiting import until
from tests.support.workers import running
from workers.observer.rhythm import Rhythm
from workers.observer.worker import build

WAIT_S = 60.0
RHYTHM = Rhythm(warm_up_s=0, look_s=0.1, poll_s=0.5, candidacy_s=0.2, remind_s=0.5, diagnose_s=0.2, settle=timedelta())


@asynccontextmanager
async def observing(url: str, folder: Path, instance: str, *, broker_up: float) -> AsyncIterator[None]:
    """An observer that knows only that it hears, and whether the broker answers; not ours, which has to."""
    settings = ObserverSettings(nats_url=url, data_dir=folder, instance=instance, shipped_rules=False)
    fed = HandFed()
    fed.values["waggle_broker_up"] = broker_up
    fed.values["waggle_up"] = 1.0  # somebody is heard
    async with running(build(settings, rhythm=RHYTHM, intake=fed.of)):
        yield


async def asked(gateway: Gateway, **parameters: Any) -> list[dict[str, Any]]:
    """What the gateway says; nothing while no observer leads."""
    response = await gateway.http.get("/v1/diagnoses", params=parameters)
    assert response.status_code in {200, 503}, response.text
    return list(response.json()["items"]) if response.status_code == 200 else []


async def test_what_is_found_is_told_kept_and_gone_on_with(
    gateway: Gateway, broker: Broker, nats_server: NatsServer, tmp_path: Path
):
    begin = datetime.now(UTC) - timedelta(minutes=1)

    async def episodes() -> list[dict[str, Any]]:
        return await asked(gateway, since=begin.isoformat())

    async with observing(nats_server.url, tmp_path / "1", "observer-1", broker_up=0):
        await until(episodes, timeout_s=WAIT_S)
        (now,) = await asked(gateway)
        assert (now["cause"], now["subject"]["component"]) == ("backend_connection_lost", "broker")
        assert now["evidence"][0]["source"] == "waggle_broker_up"
        assert await asked(gateway, at=begin.isoformat()) == []
        (episode,) = await episodes()
        assert (episode["ended_at"], episode["diagnosis"]["fingerprint"]) == (None, now["fingerprint"])
        future = await gateway.http.get("/v1/diagnoses", params={"at": str(time.time() + 3600)})
        assert future.status_code == 422

        waggle = Command(environment={"WAGGLE_URL": gateway.url})
        ran = await waggle("diagnose")
        assert (ran.code, "backend connection lost of broker" in ran.out) == (0, True)

    (stored,) = await BucketEpisodes(broker).load()
    assert stored.record is not None
    assert stored.record.diagnosis.cause is Cause.BACKEND_CONNECTION_LOST

    async with observing(nats_server.url, tmp_path / "2", "observer-2", broker_up=1):
        await until(episodes, timeout_s=WAIT_S)
        assert [each["began_at"] for each in await episodes()] == [episode["began_at"]]
        assert await asked(gateway) == []


async def test_an_observer_ends_what_its_predecessor_left_open(
    gateway: Gateway, broker: Broker, nats_server: NatsServer, tmp_path: Path
):
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    subject = Subject(component="index")
    left = Diagnosis(
        fingerprint=subject.fingerprint(Cause.BACKEND_CONNECTION_LOST),
        cause=Cause.BACKEND_CONNECTION_LOST,
        subject=subject,
        summary="lost",
        confidence=0.9,
        evidence=(Evidence(what="check", at=long_ago),),
        at=long_ago,
    )
    record = EpisodeRecord(began_at=long_ago, last_seen_at=long_ago, diagnosis=left)
    await BucketEpisodes(broker).write(record, revision=0)

    async with observing(nats_server.url, tmp_path, "observer-1", broker_up=1):

        async def is_over() -> bool:
            (stored,) = await BucketEpisodes(broker).load()
            return stored.record is not None and stored.record.ended_at == long_ago

        await until(is_over, timeout_s=WAIT_S)

"""Getting to the broker, staying there, and not living on as a zombie when that is over."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import nats.errors
import nkeys
import pytest

from contracts import subjects, topology
from contracts.documents import PurgeRequest
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.client import HeaderedClient
from messaging.connection import EXIT_CONNECTION_CLOSED
from messaging.delivery import Delivery
from messaging.errors import (
    BrokerUnavailableError,
    ConnectionRefusedByBrokerError,
    MessageTooLargeError,
    PublishRefusedError,
    StreamFullError,
)
from messaging.provisioning import provision
from tests.support.freezing import freeze, thaw
from tests.support.outages import crash
from tests.support.processes import started
from tests.support.purges import CONSUMER, left, purge, send
from tests.support.waiting import until
from tests.support.workers import running

USERS = "authorization {{ users = [ {{ user: {user}, password: {password} }} ] }}\n"


def settings_of(server: NatsServer, **given: object) -> BrokerSettings:
    return BrokerSettings.model_validate({"nats_url": server.url, **given})


class TestCredentials:
    async def test_user_and_password(self, tmp_path: Path) -> None:
        with NatsServer(tmp_path, extra_config=USERS.format(user="waggle", password="s3cret")) as server:
            broker = await Broker.connect(settings_of(server, nats_user="waggle", nats_password="s3cret"), name="t")
            assert broker.is_connected
            await broker.close()

    async def test_wrong_ones_are_an_error_at_once_and_say_where_to_look(self, tmp_path: Path) -> None:
        with NatsServer(tmp_path, extra_config=USERS.format(user="waggle", password="s3cret")) as server:
            async with asyncio.timeout(60):
                with pytest.raises(ConnectionRefusedByBrokerError, match="WAGGLE_NATS_PASSWORD"):
                    await Broker.connect(settings_of(server, nats_user="waggle", nats_password="wrong"), name="t")

    async def test_a_token(self, tmp_path: Path) -> None:
        with NatsServer(tmp_path, extra_config="authorization { token: t0ken }\n") as server:
            broker = await Broker.connect(settings_of(server, nats_token="t0ken"), name="t")
            await broker.close()

    async def test_an_nkey(self, tmp_path: Path) -> None:
        pair = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
        seed_file = tmp_path / "user.nk"
        seed_file.write_bytes(pair.seed)
        users = f"authorization {{ users = [ {{ nkey: {pair.public_key.decode()} }} ] }}\n"
        with NatsServer(tmp_path / "nats", extra_config=users) as server:
            broker = await Broker.connect(settings_of(server, nats_nkey_seed=seed_file), name="t")
            await broker.close()

    async def test_tls_with_a_private_authority(self, tmp_path: Path) -> None:
        certificate, key = _certificate(tmp_path)
        tls = f'tls {{ cert_file: "{certificate}", key_file: "{key}" }}\n'
        with NatsServer(tmp_path / "nats", extra_config=tls) as server:
            url = server.url.replace("nats://127.0.0.1", "tls://localhost")
            broker = await Broker.connect(BrokerSettings(nats_url=url, nats_tls_ca=certificate), name="t")
            assert broker.is_connected
            await broker.close()


class TestAvailability:
    async def test_a_broker_that_is_not_there_yet_is_waited_for(self, tmp_path: Path) -> None:
        server = NatsServer(tmp_path)
        server.start()
        settings = settings_of(server)
        server.stop()
        connecting = asyncio.create_task(Broker.connect(settings, name="t"))
        await asyncio.wait({connecting}, timeout=0.5)
        assert not connecting.done()
        server.start()
        async with asyncio.timeout(60):
            broker = await connecting
        await broker.close()
        server.stop()

    async def test_who_waits_no_longer_is_let_go_also_where_an_attempt_fails_at_that_moment(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        library = HeaderedClient.connect

        async def connect(client: HeaderedClient, **options: Any) -> None:
            """For which a cancellation may be one more attempt that failed."""
            for _ in range(3):
                with suppress(asyncio.CancelledError):
                    await library(client, **options)
            await library(client, **options)

        monkeypatch.setattr("messaging.client.HeaderedClient.connect", connect)
        async with asyncio.timeout(60):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await Broker.connect(BrokerSettings(nats_url="nats://127.0.0.1:9"), name="test")

    async def test_another_server_of_the_list_is_used(self, nats_server: NatsServer) -> None:
        settings = BrokerSettings(nats_url=f"nats://127.0.0.1:9, {nats_server.url}")
        async with asyncio.timeout(60):
            broker = await Broker.connect(settings, name="t")
        await broker.close()

    async def test_after_a_crash_of_the_broker_everybody_is_back(self, broker: Broker, nats_server: NatsServer) -> None:
        await send(broker, "before")
        await crash(nats_server, broker)
        await send(broker, "after")
        assert await left(broker) == 2

    async def test_publishing_without_a_broker_fails_at_once(self, broker: Broker, nats_server: NatsServer) -> None:
        nats_server.kill()
        await until(lambda: not broker.is_connected)
        async with asyncio.timeout(1):
            with pytest.raises(BrokerUnavailableError):
                await send(broker, "a")

    async def test_a_broker_that_does_not_answer_is_an_error_after_the_time_out(
        self, broker_settings: BrokerSettings, nats_server: NatsServer
    ) -> None:
        broker = await Broker.connect(broker_settings.model_copy(update={"publish_timeout_s": 0.3}), name="t")
        await provision(broker)
        assert nats_server.pid is not None
        freeze(nats_server.pid)
        try:
            with pytest.raises(BrokerUnavailableError, match="not acknowledged"):
                await send(broker, "a")
        finally:
            thaw(nats_server.pid)
        await broker.close()

    async def test_closing_without_a_broker_does_not_raise(self, broker: Broker, nats_server: NatsServer) -> None:
        nats_server.kill()
        await until(lambda: not broker.is_connected)
        await broker.close()


class TestClosedForGood:
    async def test_the_process_exits(self, tmp_path: Path) -> None:
        """The account is taken away: the broker closes the connection, and the library does not come back."""
        server = NatsServer(tmp_path, extra_config=USERS.format(user="waggle", password="s3cret"))
        with server:
            environment = {
                "WAGGLE_NATS_URL": server.url,
                "WAGGLE_NATS_USER": "waggle",
                "WAGGLE_NATS_PASSWORD": "s3cret",
            }
            async with started("tests.support.connected_process", **environment) as process:
                await process.says("connected")
                _revoke(server)
                assert await process.ends() == EXIT_CONNECTION_CLOSED

    async def test_the_library_alone_would_live_on_without_a_connection(self, tmp_path: Path) -> None:
        """Why the callback exists."""
        called = asyncio.Event()
        with NatsServer(tmp_path, extra_config=USERS.format(user="waggle", password="s3cret")) as server:
            broker = await Broker.connect(
                settings_of(server, nats_user="waggle", nats_password="s3cret"), name="t", on_closed=called.set
            )
            _revoke(server)
            async with asyncio.timeout(60):
                await called.wait()
            assert broker.nc.is_closed

    async def test_closing_on_purpose_is_no_reason_to_exit(self, broker_settings: BrokerSettings) -> None:
        called = asyncio.Event()
        broker = await Broker.connect(broker_settings, name="t", on_closed=called.set)
        await broker.close()
        assert not called.is_set()


class TestPublishing:
    async def test_the_same_message_id_is_stored_once(self, broker: Broker) -> None:
        await send(broker, "a", "a")
        assert await left(broker) == 1

    async def test_a_full_stream_refuses(self, broker_settings: BrokerSettings) -> None:
        broker = await Broker.connect(broker_settings, name="t")
        await provision(broker, Topology(streams=(topology.EVENTS, _tiny(topology.EMBED)), consumers=()))
        await send(broker, "a")
        with pytest.raises(StreamFullError):
            await send(broker, *(f"d{n}" for n in range(20)))
        await broker.close()

    async def test_a_message_above_the_limit_is_an_error_of_its_own(self, broker: Broker) -> None:
        with pytest.raises(MessageTooLargeError):
            await broker.publish_bytes(subjects.embed_purge("default"), b"x" * 2_000_000, stream="EMBED")
        assert broker.is_connected

    async def test_a_subject_of_another_stream_is_noticed(self, broker: Broker) -> None:
        with pytest.raises(PublishRefusedError, match="stored in EMBED, not in INGEST"):
            await broker.publish(subjects.embed_purge("default"), purge("a"), stream=topology.INGEST, message_id="a")

    async def test_a_subject_of_no_stream_is_noticed(self, broker: Broker) -> None:
        with pytest.raises(BrokerUnavailableError, match="provisioned"):
            await broker.publish("rag.nowhere", purge("a"), stream=topology.INGEST, message_id="a")


class TestWorkersThroughACrash:
    async def test_accepted_work_is_done_through_five_crashes(
        self, broker: Broker, worker: WorkerApp, nats_server: NatsServer
    ) -> None:
        done: set[str] = set()

        @worker.consumes(CONSUMER, PurgeRequest, concurrency=2)
        async def handle(request: PurgeRequest, delivery: Delivery) -> None:
            await asyncio.sleep(0.01)
            done.add(request.document_id)

        accepted: list[str] = []
        async with running(worker):
            for round_ in range(5):
                for n in range(20):
                    await send(broker, f"d{round_}-{n}")
                    accepted.append(f"d{round_}-{n}")
                await crash(nats_server, broker)
            await until(lambda: done >= set(accepted), timeout_s=60)
            await until(lambda: _emptied(broker))


def _revoke(server: NatsServer) -> None:
    server.config_file.write_text(server.config().replace("s3cret", "another"), encoding="utf-8")
    os.kill(server.pid or 0, signal.SIGHUP)


def _tiny(stream: topology.Stream) -> topology.Stream:
    return topology.Stream(
        name=stream.name,
        subjects=stream.subjects,
        retention=stream.retention,
        discard=stream.discard,
        why=stream.why,
        max_bytes=1500,
    )


def _certificate(folder: Path) -> tuple[Path, Path]:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def _emptied(broker: Broker) -> bool:
    try:
        return await left(broker) == 0
    except nats.errors.Error:
        return False

"""Webhooks, Slack and Alertmanager as the receiver, by real HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from structlog.testing import capture_logs

from observability.notifications.channels import Notifier
from observability.notifications.channels.attempt import attempt
from observability.notifications.channels.http import HttpPoster
from observability.notifications.errors import DeliveryError
from observability.outgoing import authorities
from tests.support.certificates import Certificates
from tests.support.receivers import HttpReceiver
from tests.unit.observability.notifications.examples import alert, notification
from tests.unit.observability.notifications.http_contract import SECRET, HttpNotifierContract, notifier_of
from tests.unit.observability.notifications.notifier_contract import (
    AGAIN,
    PATIENT_S,
    failure_of,
    kind_of,
)


class TestWebhook(HttpNotifierContract):
    def model(self, url: str) -> dict[str, Any]:
        return {"kind": "webhook", "url": {"env": "TESTED_URL"}, "secret": {"env": "TESTED_SECRET"}}

    async def test_the_payload_is_version_four_of_alertmanagers(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        firing, over = alert(service="embed"), alert(service="ingest", minutes=5)

        await notifier.send(notification(firing, resolved=(over,)))

        payload = receiver.received[0].json
        assert payload["version"] == "4"
        assert payload["status"] == "firing"
        assert payload["commonLabels"] == {"alertname": "HighErrorRate", "severity": "critical"}
        assert [(a["status"], a["endsAt"], a["fingerprint"]) for a in payload["alerts"]] == [
            ("firing", "0001-01-01T00:00:00Z", firing.fingerprint),
            ("resolved", "2026-06-01T09:05:00Z", over.fingerprint),
        ]

    async def test_the_signature_is_verified_by_the_standards_own_library(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        await notifier.send(notification(alert(service="嵌入")))

        got = receiver.received[0]
        assert standardwebhooks.Webhook(SECRET).verify(got.content, dict(got.headers)) == got.json

    async def test_a_changed_body_is_not_verified(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        await notifier.send(notification())

        got = receiver.received[0]
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(SECRET).verify(got.content.replace(b"firing", b"FIRING"), dict(got.headers))

    async def test_the_idempotency_key_is_the_same_for_each_attempt(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        message = notification()

        await notifier.send(message)
        await notifier.send(message)

        assert [got.headers["webhook-id"] for got in receiver.received] == [message.id, message.id]

    async def test_a_bearer_token_is_sent(self, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TESTED_TOKEN", "t0ken")
        notifier = notifier_of({"kind": "webhook", "url": receiver.url, "bearer_token": {"env": "TESTED_TOKEN"}})

        await notifier.send(notification())

        assert receiver.received[0].headers["authorization"] == "Bearer t0ken"
        await notifier.close()

    @pytest.mark.parametrize("token", ["two\nlines", "schlüssel"])
    async def test_a_token_that_is_no_header_is_not_quoted(
        self, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch, token: str
    ) -> None:
        monkeypatch.setenv("TESTED_TOKEN", token)
        notifier = notifier_of({"kind": "webhook", "url": receiver.url, "bearer_token": {"env": "TESTED_TOKEN"}})
        with capture_logs() as logs:
            error = await failure_of(notifier)

        assert token not in f"{error}{logs}"
        assert not receiver.received
        await notifier.close()

    async def test_alerts_beyond_the_limit_are_counted(self, receiver: HttpReceiver) -> None:
        notifier = notifier_of({"kind": "webhook", "url": receiver.url, "max_alerts": 2})

        await notifier.send(notification(*(alert(n=str(n)) for n in range(5)), left_out=4))

        assert len(receiver.received[0].json["alerts"]) == 2
        assert receiver.received[0].json["truncatedAlerts"] == 3 + 4
        await notifier.close()

    @pytest.mark.parametrize("secret", ["", "not base64!", "whsec_c2hvcnQ="])
    async def test_a_secret_that_cannot_sign_is_said_without_quoting_it(
        self, notifier: Notifier, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch, secret: str
    ) -> None:
        monkeypatch.setenv("TESTED_SECRET", secret)

        error = await failure_of(notifier)

        assert kind_of(error) == AGAIN
        assert "TESTED_SECRET" in str(error)
        assert not secret or secret not in str(error)
        assert not receiver.received

    async def test_the_certificate_has_to_be_the_names_while_the_address_is_pinned(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        files = Certificates.made(tmp_path, "hooks.test")
        monkeypatch.setenv("SSL_CERT_FILE", str(files.authority))

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        async with HttpReceiver.running(files.server_context()) as receiver:
            right, wrong = (
                notifier_of({"kind": "webhook", "url": f"https://{name}:{receiver.port}/x"}, resolve=resolve)
                for name in ("hooks.test", "other.test")
            )
            await attempt(right, notification(), timeout_s=PATIENT_S)
            error = await failure_of(wrong)

        assert receiver.received[0].headers["host"] == f"hooks.test:{receiver.port}"
        assert "certificate" in str(error).lower()
        assert len(receiver.received) == 1
        for each in (right, wrong):
            await each.close()

    async def test_an_authority_that_is_not_trusted_is_refused(self, tmp_path: Path) -> None:
        files = Certificates.made(tmp_path, "hooks.test")

        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        async with HttpReceiver.running(files.server_context()) as receiver:
            notifier = notifier_of({"kind": "webhook", "url": f"https://hooks.test:{receiver.port}"}, resolve=resolve)

            assert "certificate" in str(await failure_of(notifier)).lower()

        assert not receiver.received
        await notifier.close()


class TestSlack(HttpNotifierContract):
    def model(self, url: str) -> dict[str, Any]:
        return {"kind": "slack", "url": {"env": "TESTED_URL"}}

    async def test_the_message_has_a_headline_and_a_section_for_each_alert(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        await notifier.send(notification(alert(service="embed"), alert(service="ingest")))

        message = receiver.received[0].json
        assert message["text"].startswith("[FIRING 2] HighErrorRate")
        assert len(message["attachments"][0]["blocks"]) == 5  # two alerts with a runbook each, and the link to Waggle


class TestAlertmanager(HttpNotifierContract):
    def model(self, url: str) -> dict[str, Any]:
        return {
            "kind": "alertmanager",
            "url": {"env": "TESTED_URL"},
            "user": "waggle",
            "password": {"env": "TESTED_SECRET"},
        }

    async def test_alerts_go_to_its_api_with_a_password(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        await notifier.send(notification(alert(service="embed")))

        got = receiver.received[0]
        assert got.path == "/api/v2/alerts"
        assert got.headers["authorization"].startswith("Basic ")
        assert got.json[0]["labels"]["service"] == "embed"

    async def test_a_firing_alert_ends_when_it_is_not_told_for_four_turns(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        await notifier.send(notification(alert()))

        assert receiver.received[0].json[0]["endsAt"] == "2026-06-01T09:20:00Z"


class TestNamesThatLeadElsewhere:
    """A name is resolved once for each attempt, and what was judged is what is connected to."""

    @pytest.fixture
    async def receiver(self) -> AsyncIterator[HttpReceiver]:
        async with HttpReceiver.running() as receiver:
            yield receiver

    async def test_a_name_that_changes_between_judging_and_connecting_reaches_nothing(
        self, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The public address is judged; whoever asked the name server again would be sent to this host."""
        answers = [["203.0.114.1"], ["127.0.0.1"], ["127.0.0.1"]]
        asked: list[str] = []
        reached: list[str] = []

        async def resolve(host: str, port: int) -> list[str]:
            asked.append(host)
            return answers.pop(0)

        async def nowhere(self: HttpPoster, request: Any) -> Any:
            reached.append(request.url.host)
            raise DeliveryError("stop here")

        monkeypatch.setattr("httpx.AsyncHTTPTransport.handle_async_request", nowhere)
        notifier = notifier_of(
            {"kind": "webhook", "url": f"http://rebinding.test:{receiver.port}"}, resolve=resolve, allowed_networks=()
        )

        await failure_of(notifier)

        assert asked == ["rebinding.test"]
        assert reached == ["203.0.114.1"]
        assert not receiver.received
        await notifier.close()

    async def test_the_second_attempt_is_judged_by_what_the_name_is_then(self, receiver: HttpReceiver) -> None:
        answers = [["192.0.2.1"], ["127.0.0.1"]]

        async def resolve(host: str, port: int) -> list[str]:
            return answers.pop(0)

        notifier = notifier_of(
            {"kind": "webhook", "url": f"http://rebinding.test:{receiver.port}"}, resolve=resolve, allowed_networks=()
        )

        for refused in ("192.0.2.1", "127.0.0.1"):
            assert refused in str(await failure_of(notifier))
        assert not receiver.received
        await notifier.close()

    async def test_one_private_address_among_public_ones_is_enough_to_refuse(self, receiver: HttpReceiver) -> None:
        async def resolve(host: str, port: int) -> list[str]:
            return ["203.0.114.1", "10.0.0.8"]

        notifier = notifier_of({"kind": "webhook", "url": "http://mixed.test"}, resolve=resolve, allowed_networks=())

        assert "10.0.0.8" in str(await failure_of(notifier))
        await notifier.close()

    async def test_the_next_address_is_used_where_the_first_does_not_answer(self, receiver: HttpReceiver) -> None:
        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]  # nothing listens at the first

        notifier = notifier_of({"kind": "webhook", "url": f"http://two.test:{receiver.port}"}, resolve=resolve)

        await attempt(notifier, notification(), timeout_s=PATIENT_S)

        assert len(receiver.received) == 1
        await notifier.close()

    async def test_a_name_server_that_never_answers_leaves_nothing_in_doubt(self) -> None:
        async def resolve(host: str, port: int) -> list[str]:
            await asyncio.Event().wait()
            raise AssertionError

        notifier = notifier_of({"kind": "webhook", "url": "http://slow.test", "timeout": "200ms"}, resolve=resolve)

        assert kind_of(await failure_of(notifier)) == AGAIN
        await notifier.close()

    async def test_a_name_that_is_not_found_is_tried_again(self) -> None:
        async def resolve(host: str, port: int) -> list[str]:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

        notifier = notifier_of({"kind": "webhook", "url": "http://nowhere.test"}, resolve=resolve)

        assert kind_of(await failure_of(notifier)) == AGAIN
        await notifier.close()


def test_the_system_trust_is_used_beside_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", lambda self, purpose: loaded.append(purpose))

    authorities()

    assert loaded[-1] is ssl.Purpose.SERVER_AUTH

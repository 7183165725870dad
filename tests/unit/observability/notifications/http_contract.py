"""What every channel that posts must do; adapters inherit it and say where to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs

from observability.notifications.channels import Notifier, build_notifier
from observability.notifications.channels.attempt import attempt
from observability.notifications.configuration import Channel
from tests.support.receivers import HttpReceiver, Reply
from tests.unit.observability.notifications.examples import notification
from tests.unit.observability.notifications.notifier_contract import (
    AGAIN,
    FINAL,
    IN_DOUBT,
    LOCAL,
    PATIENT_S,
    NotifierContract,
    failure_of,
    kind_of,
    silent_port,
    unused_port,
)

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Make = Callable[..., Notifier]
CHANNEL: TypeAdapter[Channel] = TypeAdapter(Channel)


def now() -> datetime:
    return datetime.now(UTC)


def notifier_of(model: dict[str, Any], **options: Any) -> Notifier:
    return build_notifier(
        CHANNEL.validate_python({"timeout": "2m"} | model), clock=now, **{"allowed_networks": LOCAL} | options
    )


class HttpNotifierContract(NotifierContract):
    """Channels that post; `model` says where to."""

    server: HttpReceiver

    def model(self, url: str) -> dict[str, Any]:
        raise NotImplementedError

    @pytest.fixture
    async def receiver(self) -> AsyncIterator[HttpReceiver]:
        async with HttpReceiver.running() as receiver:
            self.server = receiver
            yield receiver

    @pytest.fixture
    async def notifier(self, receiver: HttpReceiver, make: Make) -> Notifier:
        return make(receiver.url)

    @pytest.fixture
    async def make(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
        made: list[Notifier] = []

        def make(url: str, timeout: str = "2m") -> Notifier:
            monkeypatch.setenv("TESTED_URL", url)
            monkeypatch.setenv("TESTED_SECRET", SECRET)
            made.append(notifier_of(self.model(url) | {"timeout": timeout}))
            return made[-1]

        yield make
        for each in made:
            await each.close()

    @pytest.fixture
    def away(self, make: Make) -> Notifier:
        return make(f"http://127.0.0.1:{unused_port()}")

    @pytest.fixture
    def deaf(self, make: Make) -> Iterator[Notifier]:
        with silent_port() as port:
            yield make(f"http://127.0.0.1:{port}", "500ms")

    @pytest.fixture
    def stuck(self, notifier: Notifier, receiver: HttpReceiver) -> Notifier:
        receiver.otherwise = Reply(hangs=True)
        return notifier

    def taken(self) -> int:
        return len(self.server.received)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, FINAL),
            (401, FINAL),
            (404, FINAL),
            (408, AGAIN),
            (425, AGAIN),
            (429, AGAIN),
            (500, IN_DOUBT),
            (503, IN_DOUBT),
        ],
    )
    async def test_the_status_says_whether_it_is_tried_again(
        self, notifier: Notifier, receiver: HttpReceiver, status: int, kind: str
    ) -> None:
        receiver.otherwise = Reply(status=status, body=b"no")

        error = await failure_of(notifier)

        assert kind_of(error) == kind
        assert f"HTTP {status} no" in str(error)

    async def test_a_failure_that_passes_is_no_failure_the_next_time(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        receiver.next.append(Reply(status=500))

        await failure_of(notifier)

        assert await attempt(notifier, notification(), timeout_s=PATIENT_S)

    async def test_retry_after_in_seconds_is_kept(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        receiver.otherwise = Reply(status=429, headers={"Retry-After": "17"})

        assert (await failure_of(notifier)).retry_after_s == 17

    @pytest.mark.parametrize("text", ["soon", "nan", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1e999", ""])
    async def test_retry_after_that_makes_no_sense_or_is_past_delays_nothing(
        self, notifier: Notifier, receiver: HttpReceiver, text: str
    ) -> None:
        receiver.otherwise = Reply(status=429, headers={"Retry-After": text})

        assert not (await failure_of(notifier)).retry_after_s

    async def test_retry_after_as_a_date_is_kept(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        receiver.otherwise = Reply(status=503, headers={"Retry-After": "Fri, 31 Dec 2199 23:59:59 GMT"})

        assert ((await failure_of(notifier)).retry_after_s or 0) > 86400

    async def test_redirects_are_not_followed(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        async with HttpReceiver.running() as elsewhere:
            receiver.otherwise = Reply(status=307, headers={"Location": elsewhere.url})

            error = await failure_of(notifier)

            assert kind_of(error) == FINAL
            assert "redirect" in str(error)
            assert not elsewhere.received

    async def test_of_an_endless_reply_the_beginning_is_enough(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        receiver.otherwise = Reply(endless=True, length=10**12)

        said = await attempt(notifier, notification(), timeout_s=PATIENT_S)

        assert len(said) <= 200

    async def test_a_connection_that_breaks_off_before_the_reply_leaves_it_in_doubt(
        self, notifier: Notifier, receiver: HttpReceiver
    ) -> None:
        receiver.otherwise = Reply(breaks_off=True)

        assert kind_of(await failure_of(notifier)) == IN_DOUBT

    async def test_a_success_whose_reply_breaks_off_is_one(self, notifier: Notifier, receiver: HttpReceiver) -> None:
        receiver.otherwise = Reply(body=b"o", length=2)

        assert await attempt(notifier, notification(), timeout_s=PATIENT_S)

    async def test_a_private_address_is_refused_unless_it_is_allowed(
        self, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TESTED_URL", receiver.url)
        monkeypatch.setenv("TESTED_SECRET", SECRET)
        notifier = notifier_of(self.model(receiver.url), allowed_networks=())

        error = await failure_of(notifier)

        assert kind_of(error) == FINAL
        assert "WAGGLE_NOTIFY_ALLOWED_NETWORKS" in str(error)
        assert not receiver.received
        await notifier.close()

    async def test_proxies_of_the_environment_are_not_used(
        self, notifier: Notifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")

        await attempt(notifier, notification(), timeout_s=PATIENT_S)

        assert self.taken() == 1

    async def test_neither_errors_nor_logs_quote_a_secret_that_the_receiver_sends_back(
        self, receiver: HttpReceiver, make: Make
    ) -> None:
        url = f"{receiver.url}/T000/B000/very-secret"
        receiver.otherwise = Reply(status=400, body=f"no such hook: {url}".encode())
        with capture_logs() as logs:
            error = await failure_of(make(url))

        assert "very-secret" not in str(error) + json.dumps(logs, default=str)

"""The services of apprise, by one of its own that posts JSON."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from observability.notifications.channels import Notifier
from observability.notifications.channels.attempt import attempt
from tests.support.receivers import HttpReceiver, Reply
from tests.unit.observability.notifications.examples import alert, notification
from tests.unit.observability.notifications.http_contract import notifier_of
from tests.unit.observability.notifications.notifier_contract import (
    FINAL,
    IN_DOUBT,
    PATIENT_S,
    failure_of,
    kind_of,
)

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # apprise looks for it
MODEL = {"kind": "apprise", "urls": [{"env": "TESTED_URL"}], "timeout": "60s"}


@pytest.fixture
async def receiver(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver.running() as receiver:
        monkeypatch.setenv("TESTED_URL", f"json://127.0.0.1:{receiver.port}/")
        yield receiver


@pytest.fixture
async def notifier(receiver: HttpReceiver) -> AsyncIterator[Notifier]:
    notifier = notifier_of(MODEL)
    yield notifier
    await notifier.close()


async def test_a_message_goes_to_its_service(notifier: Notifier, receiver: HttpReceiver) -> None:
    await attempt(notifier, notification(alert(service="embed")), timeout_s=PATIENT_S)

    sent = receiver.received[0].json
    assert sent["title"].startswith("[FIRING 1] HighErrorRate")
    assert sent["type"] == "failure"


async def test_a_failure_is_in_doubt_since_apprise_does_not_say_why(notifier: Notifier, receiver: HttpReceiver) -> None:
    receiver.otherwise = Reply(status=500)

    assert kind_of(await failure_of(notifier)) == IN_DOUBT


async def test_a_private_address_is_refused_unless_it_is_allowed(receiver: HttpReceiver) -> None:
    notifier = notifier_of(MODEL, allowed_networks=())

    assert kind_of(await failure_of(notifier)) == FINAL
    assert not receiver.received
    await notifier.close()


async def test_what_is_no_address_of_apprise_is_refused_and_not_quoted(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTED_URL", "nonsense-secret://")
    error = await failure_of(notifier)

    assert kind_of(error) == FINAL
    assert "TESTED_URL" in str(error)
    assert "nonsense-secret" not in str(error)


async def test_without_the_library_it_is_said_how_to_install_it(
    notifier: Notifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    error: Any = await failure_of(notifier)

    assert kind_of(error) == FINAL
    assert "pip install" in str(error)

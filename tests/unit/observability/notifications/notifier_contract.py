"""What every notifier must do; adapters inherit it and say how their receiver behaves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_network

import pytest

from observability.notifications.channels import Notifier
from observability.notifications.channels.attempt import attempt
from observability.notifications.errors import DeliveryError
from tests.unit.observability.notifications.examples import alert, notification

LOCAL = (ip_network("127.0.0.0/8"),)
SHORT_S = 0.3
"""How long a receiver that never answers is waited for; others are given `PATIENT_S`."""
PATIENT_S = 110.0

AGAIN, IN_DOUBT, FINAL = "again", "in doubt", "final"


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def failure_of(notifier: Notifier, *, timeout_s: float = PATIENT_S) -> DeliveryError:
    """Why one attempt fails."""
    with pytest.raises(DeliveryError) as raised:
        await attempt(notifier, notification(), timeout_s=timeout_s)
    return raised.value


def kind_of(error: DeliveryError) -> str:
    assert not (error.final and error.in_doubt)
    return FINAL if error.final else IN_DOUBT if error.in_doubt else AGAIN


class NotifierContract:
    """Fixtures: `notifier`, whose receiver takes everything; `away`, whose receiver is not there; `deaf`, whose receiver takes no
    connection; `stuck`, whose receiver never answers. `taken()` counts the messages that the receiver took.
    """

    def taken(self) -> int:
        raise NotImplementedError

    async def test_a_message_is_taken_and_that_is_said(self, notifier: Notifier) -> None:
        said = await attempt(notifier, notification(alert(service="embed")), timeout_s=PATIENT_S)

        assert said
        assert self.taken() == 1

    async def test_an_end_is_taken_too(self, notifier: Notifier) -> None:
        over = notification(resolved=(alert(minutes=5, service="embed"),))

        await attempt(notifier, over, timeout_s=PATIENT_S)

        assert self.taken() == 1

    async def test_the_largest_message_is_taken(self, notifier: Notifier) -> None:
        everything = notification(*(alert(instance=f"{number:04}" + "x" * 900) for number in range(500)))

        await attempt(notifier, everything, timeout_s=PATIENT_S)

        assert self.taken() == 1

    async def test_a_receiver_that_is_away_is_tried_again(self, away: Notifier) -> None:
        assert kind_of(await failure_of(away)) == AGAIN

    async def test_a_receiver_that_takes_no_connection_has_got_nothing(self, deaf: Notifier) -> None:
        assert kind_of(await failure_of(deaf)) == AGAIN

    async def test_a_receiver_that_never_answers_leaves_it_in_doubt(self, stuck: Notifier) -> None:
        assert kind_of(await failure_of(stuck, timeout_s=SHORT_S)) == IN_DOUBT


@contextmanager
def silent_port() -> Iterator[int]:
    """A port at which connections are never taken: the queue of its listener is full."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            filler = sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]

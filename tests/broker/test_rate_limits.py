"""Limits that several gateways keep together: never more is let in than they say, and nothing that they allow is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from contracts import topology
from contracts.rate_limits import RateWindow, windows_of
from contracts.settings import BrokerSettings
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.errors import BrokerUnavailableError
from messaging.rate_limits import Allowances

MINUTE = windows_of("40/m")
GATEWAYS = 3


@pytest.fixture
async def gateways(broker: Broker, nats_server) -> AsyncIterator[list[Allowances]]:
    async with AsyncExitStack() as opened:
        found = []
        for number in range(GATEWAYS):
            connected = await Broker.connect(BrokerSettings(nats_url=nats_server.url), name=f"gateway-{number}")
            opened.push_async_callback(connected.close)
            found.append(Allowances(connected))
        yield found


class At:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def later(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


async def let_in(allowances: Allowances, windows: tuple[RateWindow, ...], times: int, subject: str = "key.a") -> int:
    return sum([(await allowances.take(subject, windows)).let_in for _ in range(times)])


async def test_as_many_as_the_limit_says_and_not_one_more(broker: Broker) -> None:
    assert await let_in(Allowances(broker), MINUTE, 100) == 40


async def test_together_gateways_let_in_no_more(gateways: list[Allowances]) -> None:
    takes = (each.take("key.a", MINUTE) for _ in range(60) for each in gateways)

    assert sum(left.let_in for left in await asyncio.gather(*takes)) == 40


async def test_what_one_gateway_does_not_use_is_not_lost(gateways: list[Allowances]) -> None:
    """Each takes some ahead, and what it has not used when that ends it gives back, and takes again."""
    windows, found = windows_of("100/m"), 0
    for size in (20, 7, 1, 7, 1, 20, 30, 30):
        for each in gateways:
            found += await let_in(each, windows, size)
        await asyncio.sleep(1.1)  # longer than a slot: what was taken has ended

    assert found == 100


async def test_every_subject_has_its_own(broker: Broker) -> None:
    allowances = Allowances(broker)

    assert await let_in(allowances, MINUTE, 50, "key.a") == 40
    assert await let_in(allowances, MINUTE, 50, "key.b") == 40


async def test_all_windows_must_allow_it(broker: Broker) -> None:
    assert await let_in(Allowances(broker), windows_of("7/10s,40/m"), 50) == 7


async def test_it_says_what_is_left_and_when_there_is_more(broker: Broker) -> None:
    allowances = Allowances(broker)

    first = await allowances.take("key.a", windows_of("2/m,100/h"))
    await allowances.take("key.a", windows_of("2/m,100/h"))
    refused = await allowances.take("key.a", windows_of("2/m,100/h"))

    assert (first.let_in, first.window, first.remaining) == (True, RateWindow(2, 60), 1)
    assert (refused.let_in, refused.window, refused.remaining) == (False, RateWindow(2, 60), 0)
    assert 59 < refused.wait_s <= 62


async def test_when_the_time_is_over_as_many_are_let_in_again(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = At()
    monkeypatch.setattr(broker, "clock", clock)
    allowances = Allowances(broker)
    assert await let_in(allowances, MINUTE, 50) == 40

    clock.later((await allowances.take("key.a", MINUTE)).wait_s)

    assert await let_in(allowances, MINUTE, 50) == 40


async def test_another_limit_counts_from_what_was_used(broker: Broker) -> None:
    allowances = Allowances(broker)
    assert await let_in(allowances, windows_of("10/m"), 20) == 10

    assert await let_in(allowances, windows_of("15/m"), 20) == 5


async def test_units_at_hand_end_with_their_slot(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was taken long ago and not used lets nobody in: it was counted then."""
    clock = At()
    monkeypatch.setattr(broker, "clock", clock)
    allowances = Allowances(broker)
    for _ in range(10):
        await allowances.take("key.a", windows_of("1000/m"))

    clock.later(61)

    assert await let_in(allowances, windows_of("1000/m"), 1200) <= 1000


async def test_what_is_no_usage_is_overwritten(broker: Broker) -> None:
    await Bucket(broker, topology.LIMITS).write("key.a", b"rubbish", revision=0)

    assert await let_in(Allowances(broker), MINUTE, 50) == 40


async def test_usage_is_forgotten_by_itself(broker: Broker) -> None:
    await let_in(Allowances(broker), windows_of("5/s"), 1)
    bucket, deadline = Bucket(broker, topology.LIMITS), time.monotonic() + 20

    while await bucket.get("key.a") is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def test_without_a_broker_nobody_is_let_in(broker: Broker, nats_server) -> None:
    allowances = Allowances(broker)
    nats_server.stop()

    with pytest.raises(BrokerUnavailableError):
        await allowances.take("key.a", MINUTE)

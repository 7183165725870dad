"""Deadlines are judged by the broker's time, whatever the hosts' clocks show."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from messaging.broker import Broker
from messaging.clock import BrokerClock


def host_time() -> datetime:
    """The broker of a test runs on this host, so its time is the host's."""
    return datetime.now(UTC)


def skewed(by_s: float) -> Callable[[], float]:
    return lambda: time.monotonic() + by_s


async def test_it_tells_the_brokers_time(broker: Broker) -> None:
    assert broker.clock.synchronised
    assert abs(broker.clock.now() - host_time()) < timedelta(seconds=1)


async def test_a_local_clock_that_is_an_hour_off_changes_nothing(broker: Broker) -> None:
    for skew_s in (3600.0, -3600.0):
        clock = BrokerClock(broker.nc, monotonic=skewed(skew_s))
        await clock.sync()
        assert abs(clock.now() - host_time()) < timedelta(seconds=1)


async def test_it_goes_on_between_samples(broker: Broker) -> None:
    local = [1000.0]
    clock = BrokerClock(broker.nc, monotonic=lambda: local[0])
    await clock.sync()
    before = clock.now()
    local[0] += 90
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.remaining_s(before) == -90


async def test_before_the_first_sample_it_is_the_hosts(broker: Broker) -> None:
    clock = BrokerClock(broker.nc)
    assert not clock.synchronised
    assert abs(clock.now() - host_time()) < timedelta(seconds=1)

"""Leases on a real broker: one holder at a time, whatever dies."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from contracts import topology
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.leases import LeaseHeldError, LeaseLostError, Leases
from messaging.storage import Storage
from tests.support.topologies import brisk
from tests.support.waiting import until

SHORT = replace(topology.LEASES, ttl_s=1.0)


@pytest.fixture
def table() -> Topology:
    others = tuple(bucket for bucket in topology.KEY_VALUES if bucket.name != SHORT.name)
    return replace(brisk(), key_values=(*others, SHORT))


def leases(broker: Broker, holder: str) -> Leases:
    return Leases(broker, holder=holder, bucket=SHORT)


async def is_free(broker: Broker) -> bool:
    with suppress(LeaseHeldError):
        async with leases(broker, "probe").held("work"):
            return True
    return False


async def test_one_holds_it_and_the_other_is_told_who(broker: Broker) -> None:
    async with leases(broker, "first").held("work"):
        with pytest.raises(LeaseHeldError, match="first"):
            async with leases(broker, "second").held("work"):
                pytest.fail("two hold one lease")
        async with leases(broker, "second").held("other"):
            pass


async def test_a_later_holder_has_a_larger_revision(broker: Broker) -> None:
    async with leases(broker, "first").held("work") as first:
        pass
    async with leases(broker, "second").held("work") as second:
        assert (first.name, second.name) == ("work", "work")
        assert second.revision > first.revision


async def test_it_is_free_at_once_when_the_holder_is_done(broker: Broker) -> None:
    async with leases(broker, "first").held("work"):
        pass
    async with leases(broker, "second").held("work"):
        pass


async def test_it_is_renewed_for_as_long_as_it_is_held(broker: Broker) -> None:
    async with leases(broker, "first").held("work"):
        renewals = await Storage(broker).last_sequence("KV_leases")

        async def renewed_past_its_time() -> bool:
            return await Storage(broker).last_sequence("KV_leases") >= renewals + 6

        await until(renewed_past_its_time)
        assert not await is_free(broker)


async def test_of_many_that_ask_at_once_one_gets_it(broker: Broker) -> None:
    inside = 0

    async def attempt(number: int) -> bool:
        nonlocal inside
        with suppress(LeaseHeldError):
            async with leases(broker, str(number)).held("work"):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0.2)
                inside -= 1
                return True
        return False

    assert sum(await asyncio.gather(*(attempt(n) for n in range(16)))) >= 1


async def test_a_holder_that_dies_loses_it_after_its_time(broker: Broker) -> None:
    await broker.publish_bytes("$KV.leases.work", b"dead", stream="KV_leases")  # nobody renews or releases it
    assert not await is_free(broker)
    await until(lambda: is_free(broker))


async def test_who_cannot_renew_is_stopped_before_another_can_have_it(broker: Broker, nats_server: NatsServer) -> None:
    async def work_for_ever() -> None:
        async with leases(broker, "cut off").held("work"):
            nats_server.kill()
            await asyncio.Event().wait()

    async with asyncio.timeout(20):
        with pytest.raises(LeaseLostError):
            await work_for_ever()


async def test_who_was_replaced_is_stopped(broker: Broker) -> None:
    async def work_for_ever() -> None:
        async with leases(broker, "replaced").held("work"):
            await Storage(broker).purge("KV_leases", "$KV.leases.work")
            await broker.publish_bytes("$KV.leases.work", b"usurper", stream="KV_leases")
            await asyncio.Event().wait()

    async with asyncio.timeout(20):
        with pytest.raises(LeaseLostError):
            await work_for_ever()
    assert await Storage(broker).last("KV_leases", "$KV.leases.work") is not None  # not released in its place


async def test_an_error_of_the_work_itself_comes_out_as_it_is(broker: Broker) -> None:
    with pytest.raises(TimeoutError, match="the work's own"):
        async with leases(broker, "first").held("work"):
            raise TimeoutError("the work's own")
    assert await is_free(broker)

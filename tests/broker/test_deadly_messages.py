"""Messages that kill their worker, among others in the same batch: they end as dead letters, and they alone."""

from __future__ import annotations

import pytest

from contracts.documents import PurgeRequest
from contracts.errors import ErrorCode
from contracts.settings import BrokerSettings
from messaging.attempts import UNSUSPECTED_DELIVERIES
from messaging.broker import Broker
from tests.support import deadly_worker
from tests.support.letters import dead_letters
from tests.support.processes import Running, started
from tests.support.purges import left, send
from tests.support.waiting import until

TURNS = deadly_worker.ATTEMPTS - UNSUSPECTED_DELIVERIES
"""Of each message by itself."""


@pytest.mark.parametrize(
    ("names", "killing"),
    [
        (["a", "kill-1", "b", "kill-2", "c"], 2),
        (["kill-1", "a", "kill-2", "b", "kill-3"], 3),
        (["pair-1", "a", "pair-2"], 0),
    ],
    ids=["two", "three", "two that kill only together"],
)
async def test_all_that_kill_are_given_up_and_no_other(
    broker: Broker, broker_settings: BrokerSettings, names: list[str], killing: int
) -> None:
    await send(broker, *names)
    done, deaths = await _until_settled(broker, broker_settings)
    letters = await dead_letters(broker)
    given_up = sorted(PurgeRequest.from_bytes(letter.payload).document_id for letter in letters)
    assert given_up == [name for name in names if name.startswith("kill")]
    assert {letter.code for letter in letters} <= {ErrorCode.RETRIES_EXHAUSTED}
    assert sorted(set(done)) == sorted(set(names) - set(given_up))
    assert deaths == UNSUSPECTED_DELIVERIES + killing * TURNS


async def _until_settled(broker: Broker, settings: BrokerSettings) -> tuple[list[str], int]:
    """Start the worker again each time it has died; what it had done, and how often it died."""
    done: list[str] = []
    deaths = 0
    while True:
        async with started("tests.support.deadly_worker", WAGGLE_NATS_URL=settings.nats_url) as worker:
            settled = await _settled_or_dead(broker, worker)
        done += [line.removeprefix("done ") for line in worker.lines if line.startswith("done ")]
        if settled:
            return done, deaths
        assert worker.process.returncode == deadly_worker.DIED, worker.errors[-20:]
        deaths += 1


async def _settled_or_dead(broker: Broker, worker: Running) -> bool:
    async def either() -> bool:
        return worker.process.returncode is not None or await left(broker) == 0

    await until(either, timeout_s=30)
    return worker.process.returncode is None

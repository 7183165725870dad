"""The ledger's check really reads and writes."""

from __future__ import annotations

import pytest

from contracts import topology
from contracts.health import CheckStatus
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.errors import BrokerUnavailableError
from messaging.ledger import DocumentLedger
from messaging.ledger_check import LedgerCheck


@pytest.fixture
def check(broker: Broker) -> LedgerCheck:
    return LedgerCheck(broker, DocumentLedger(broker), instance="gateway-1")


async def test_it_writes_a_key_each_time_and_no_document(check: LedgerCheck, broker: Broker) -> None:
    bucket = Bucket(broker, topology.LEASES)
    first = await check.look()
    written = await bucket.get("probe-gateway-1")
    second = await check.look()
    again = await bucket.get("probe-gateway-1")
    assert (first.status, second.status) == (CheckStatus.OK, CheckStatus.OK)
    assert written is not None
    assert again is not None
    assert again.revision > written.revision
    assert await Bucket(broker, topology.DOCUMENTS).newest(">") == {}


async def test_a_broker_that_is_away_fails_it(check: LedgerCheck, nats_server: NatsServer) -> None:
    nats_server.kill()
    with pytest.raises(BrokerUnavailableError):
        await check.look()

"""The gateway keeps what its OpenAPI document says, whatever it is sent: requests are made of the document, some against it.

What a schema cannot say, as that an end lies in the future, may be refused although the schema was kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok

from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from contracts.observing import Parameters, RequestKind
from contracts.recovery_views import RecoveryPlanView
from deploy.local.nats_server import NatsServer
from gateway.identity import OPEN
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from messaging.observing import Answer
from messaging.observing.office import Handler
from tests.broker.test_gateway_keys import key
from tests.support.encoders import encoding_office
from tests.support.gateways import QUICK, FakeWorkers, Gateway, running_gateway
from tests.support.leading_observers import Observer, leading

EXAMPLES: Final = 8
"""Of each operation and kind: the same each time."""
TIMEOUT_S: Final = 20
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
REFUSED: Final = ("4xx", "5xx")
"""What breaks the schema may break something else before, such as the largest body."""
IN_VAIN: Final = "504"
"""The deadline that was asked for was too short, and it may be as short as anybody likes."""
LENIENT: Final = {"POST /v1/documents", "POST /v1/chat/completions"}
"""Each part of an upload is judged by itself; chat clients send what their other servers take."""
Operation = APIOperation[Any, Any, Any, Any]


class _Observer(Observer):
    """One that repairs, too."""

    def handlers(self) -> dict[RequestKind, Handler]:
        async def policy(_: Parameters) -> Answer:
            return Answer(body=b"{}")

        async def plan(_: Parameters) -> Answer:
            return Answer.of(RecoveryPlanView(at=datetime.now(UTC), items=()))

        return {**super().handlers(), RequestKind.RECOVERY_POLICY: policy, RequestKind.RECOVERY_PLAN: plan}


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    workers = FakeWorkers(broker)
    await workers.start()
    async with (
        leading(broker, _Observer()),
        encoding_office(broker),
        running_gateway(
            nats_server.url, limits=replace(QUICK, deadline_grace_s=15), auth=Auth.KEYS, jwt_secret="s" * 64
        ) as started,
    ):
        await started.ready()
        yield started
    await workers.stop()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_what_is_answered_is_what_the_document_says(
    gateway: Gateway, broker: Broker, mode: GenerationMode
) -> None:
    headers = await key(KeyBook(broker), gateway, Scope.ADMIN)

    found = await asyncio.to_thread(_broken, gateway.url, headers, mode)

    assert not found, "\n".join(found)


async def test_without_a_key_everything_is_refused(gateway: Gateway, broker: Broker) -> None:
    headers = await key(KeyBook(broker), gateway, Scope.ADMIN)

    statuses = await asyncio.to_thread(_unshown, gateway.url, headers)

    assert {status for path, status in statuses if path not in OPEN} == {401}
    assert {status for path, status in statuses if path in OPEN} == {200}


def _operations(url: str, headers: Mapping[str, str]) -> list[Operation]:
    document = requests.get(f"{url}/openapi.json", headers=headers, timeout=TIMEOUT_S).json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    schema.config.checks.not_a_server_error.expected_statuses += [IN_VAIN]
    schema.config.checks.negative_data_rejection.expected_statuses = list(REFUSED)
    schema.config.generation.update(with_security_parameters=False)  # the key that is shown is the only one
    found = list(schema.get_all_operations())
    operations = [result.ok() for result in found if isinstance(result, Ok)]
    assert len(operations) == len(found)
    return operations


def _broken(url: str, headers: Mapping[str, str], mode: GenerationMode) -> list[str]:
    """What was not as the document says, by operation."""
    broken = []
    for operation in _operations(url, headers):
        try:
            _tried(operation, headers, mode)
        except Unsatisfiable:  # it takes nothing that could be wrong
            continue
        except FailureGroup as failures:
            broken.append(f"{operation.label}: {failures}")
    return broken


def _tried(operation: Operation, headers: Mapping[str, str], mode: GenerationMode) -> None:
    checks = CHECKS if operation.label in LENIENT else [*CHECKS, negative_data_rejection]

    @hypothesis.seed(20260131)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def kept(case: Case) -> None:
        case.call_and_validate(headers=dict(headers), checks=checks, timeout=TIMEOUT_S)

    kept()


def _unshown(url: str, headers: Mapping[str, str]) -> list[tuple[str, int]]:
    statuses = []
    for operation in _operations(url, headers):
        path = operation.path.format_map(_Anything())
        response = requests.request(operation.method, f"{url}{path}", timeout=TIMEOUT_S)
        statuses.append((operation.path, response.status_code))
    return statuses


class _Anything(dict[str, str]):
    def __missing__(self, _: str) -> str:
        return "1"

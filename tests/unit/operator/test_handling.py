"""What a command comes to, and what is counted of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts import subjects
from contracts.diagnoses import RecommendedAction as Act
from contracts.errors import PermanentError
from contracts.recovery import CommandOutcome, RecoveryCommand, RecoveryResult
from messaging.delivery import Delivery
from messaging.errors import BrokerUnavailableError
from tests.support.recovery import KEY, command
from workers.operator.actions import Action, Done
from workers.operator.blast_radius import NOTHING_TAKEN, Footprint
from workers.operator.errors import Refusal, RefusedError
from workers.operator.handling import Operator
from workers.operator.metrics import CommandMetrics

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Clock:
    def now(self) -> datetime:
        return NOW


class Logbook:
    async def heed(self, command: RecoveryCommand) -> None: ...

    async def begin(self, command: RecoveryCommand, footprint: Footprint) -> None: ...


class Pause:
    async def current(self) -> None: ...


class Results:
    """Away for the first `away` times."""

    def __init__(self) -> None:
        self.told: dict[str, RecoveryResult] = {}
        self.away = 0

    async def find(self, command_id: str) -> RecoveryResult | None:
        return self.told.get(command_id)

    async def publish(self, result: RecoveryResult) -> None:
        if self.away:
            self.away -= 1
            raise BrokerUnavailableError("away")
        self.told.setdefault(result.id, result)


class Doing(Action):
    deadline_s = 60.0

    def __init__(self) -> None:
        self.times = 0
        self.settled = 0
        self.error: Exception | None = None

    async def check(self, command: RecoveryCommand) -> Footprint:
        return NOTHING_TAKEN

    async def do(self, command: RecoveryCommand) -> Done:
        self.times += 1
        if self.error is not None:
            raise self.error
        return Done(detail="done", captured="kept")

    async def settle(self, command: RecoveryCommand, began_at: datetime) -> str:
        self.settled += 1
        return "it was found stopped, and was started"


class House:
    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.results = Results()
        self.doing = Doing()
        meter = MeterProvider(metric_readers=[self.reader]).get_meter("test")
        self.operator = Operator(
            key=KEY,
            clock=Clock(),  # type: ignore[arg-type]  # all that is used of it
            logbook=Logbook(),  # type: ignore[arg-type]
            pause=Pause(),  # type: ignore[arg-type]
            results=self.results,  # type: ignore[arg-type]
            actions=dict.fromkeys(Act, self.doing),
            metrics=CommandMetrics(meter),
        )

    async def handle(self, given: RecoveryCommand) -> None:
        await self.operator.handle(given, delivery(given))

    def counted(self) -> dict[str, list[tuple[Mapping[str, Any], float]]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: [(dict(point.attributes or {}), point.value) for point in metric.data.data_points]  # type: ignore[union-attr]
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
        }


def delivery(given: RecoveryCommand) -> Delivery:
    return Delivery(
        subject=subjects.recovery_command(given.target),
        tenant="",
        stream="OPS",
        consumer="operator",
        sequence=1,
        attempt=1,
        published_at=NOW,
    )


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def order() -> RecoveryCommand:
    return KEY.sign(command(Act.RESTART_SERVICE, "embed-1", "embed", now=NOW))


async def test_what_is_done_is_told_with_what_was_kept(house: House, order: RecoveryCommand) -> None:
    await house.handle(order)

    told = house.results.told[order.id]
    assert (told.outcome, told.detail, told.captured) == (CommandOutcome.DONE, "done", "kept")
    assert (told.decision, told.incident, told.token, told.principal) == ("decision-1", "incident-1", 7, "operator")
    assert told.created_at == NOW  # by the broker's clock, which whoever judges it goes by
    assert house.counted()["waggle.operator.commands"] == [
        ({"waggle.action": "restart_service", "waggle.outcome": "done"}, 1)
    ]


async def test_what_is_refused_is_counted_by_its_reason(house: House, order: RecoveryCommand) -> None:
    await house.handle(order.model_copy(update={"signature": None}))
    await house.handle(order.model_copy(update={"id": "forged"}))

    assert house.doing.times == 0
    assert house.counted()["waggle.operator.refusals"] == [
        ({"waggle.reason": "unsigned"}, 1),
        ({"waggle.reason": "wrong_signature"}, 1),
    ]


async def test_what_was_done_while_the_broker_went_away_is_told_when_it_is_back(
    house: House, order: RecoveryCommand
) -> None:
    house.results.away = 1
    with pytest.raises(BrokerUnavailableError):
        await house.handle(order)

    await house.handle(order)

    assert (house.doing.times, house.results.told[order.id].outcome) == (1, CommandOutcome.DONE)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (RefusedError(Refusal.CHANGED, "another process"), CommandOutcome.REFUSED),
        (RuntimeError("broken"), CommandOutcome.FAILED),
        (TimeoutError(), CommandOutcome.UNKNOWN),
        (BrokerUnavailableError("away"), CommandOutcome.UNKNOWN),
    ],
)
async def test_how_it_ends_decides_the_outcome(
    house: House, order: RecoveryCommand, error: Exception, outcome: CommandOutcome
) -> None:
    house.doing.error = error

    await house.handle(order)

    assert house.results.told[order.id].outcome is outcome
    assert house.results.told[order.id].detail
    assert house.doing.settled == (outcome is CommandOutcome.UNKNOWN)  # nothing is left half done


async def test_a_dead_letter_has_a_result_too(house: House, order: RecoveryCommand) -> None:
    await house.operator.give_up(order, PermanentError("two attempts ended without an answer"))

    assert house.results.told[order.id].outcome is CommandOutcome.UNKNOWN

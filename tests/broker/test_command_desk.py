"""Commands are given one for a target at a time, whoever gives them, and each has one result."""

from __future__ import annotations

import asyncio

import pytest

from contracts import subjects, topology
from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import LONGEST_ACTION_S, CommandOutcome, RecoveryCommand, RecoveryResult
from messaging.broker import Broker
from messaging.recovery import CommandDesk, NoResultError, RecoveryKey, RecoveryResults, TargetBusyError
from messaging.storage import Storage
from tests.support.recovery import KEY, command


@pytest.fixture
def desk(broker: Broker) -> CommandDesk:
    return CommandDesk(broker, KEY)


def restart(broker: Broker, name: str = "embed-1", **fields) -> RecoveryCommand:
    return command(Act.RESTART_SERVICE, name, "embed", now=broker.clock.now(), **fields)


def result_of(given: RecoveryCommand, broker: Broker, outcome: CommandOutcome = CommandOutcome.DONE) -> RecoveryResult:
    return RecoveryResult(
        id=given.id,
        decision=given.decision,
        incident=given.incident,
        action=given.action,
        target=given.target,
        outcome=outcome,
        detail="so it went",
        began_at=broker.clock.now(),
        token=given.token,
    )


async def stored(broker: Broker, subject: str) -> int:
    return await Storage(broker).count(topology.OPS.name, subject)


async def test_what_is_given_is_signed(desk: CommandDesk, broker: Broker) -> None:
    given = await desk.issue(restart(broker))

    last = await Storage(broker).last(topology.OPS.name, subjects.recovery_command(given.target))
    assert last is not None
    assert KEY.signed(RecoveryCommand.from_bytes(last.data))


async def test_the_same_command_is_given_once(desk: CommandDesk, broker: Broker) -> None:
    order = restart(broker)

    assert await desk.issue(order) == await desk.issue(order)
    assert await stored(broker, f"{subjects.RECOVERY_COMMANDS}.>") == 1


async def test_of_two_observers_at_the_same_moment_one_is_refused(broker: Broker) -> None:
    ended = await asyncio.gather(
        *(CommandDesk(broker, KEY).issue(restart(broker)) for _ in range(5)), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in ended) == ["RecoveryCommand", *["TargetBusyError"] * 4]
    assert await stored(broker, f"{subjects.RECOVERY_COMMANDS}.>") == 1


async def test_a_target_is_busy_until_there_is_a_result(desk: CommandDesk, broker: Broker) -> None:
    first = await desk.issue(restart(broker))
    with pytest.raises(TargetBusyError, match="is not over"):
        await desk.issue(restart(broker))
    await desk.issue(restart(broker, "embed-2"))

    await RecoveryResults(broker).publish(result_of(first, broker))

    await desk.issue(restart(broker))


async def test_a_target_is_busy_no_more_when_nobody_can_be_at_it(desk: CommandDesk, broker: Broker) -> None:
    await desk.issue(restart(broker, expires_s=-LONGEST_ACTION_S - 1))

    await desk.issue(restart(broker))


async def test_what_somebody_else_put_there_holds_up_nobody(desk: CommandDesk, broker: Broker) -> None:
    forged = RecoveryKey(b"x" * 32).sign(restart(broker))
    subject = subjects.recovery_command(forged.target)
    await broker.publish(subject, forged, stream=topology.OPS, message_id=forged.id)
    await broker.publish_bytes(subject, b"{}", stream=topology.OPS.name, headers={"Nats-Msg-Id": "n"})

    await desk.issue(restart(broker))


async def test_an_id_that_somebody_else_took_is_said(desk: CommandDesk, broker: Broker) -> None:
    order = restart(broker)
    await broker.publish(subjects.recovery_command(order.target), order, stream=topology.OPS, message_id=order.id)

    with pytest.raises(TargetBusyError, match="was not given"):
        await desk.issue(order)


async def test_a_result_is_told_as_soon_as_it_is_there(desk: CommandDesk, broker: Broker) -> None:
    given = await desk.issue(restart(broker))
    waiting = asyncio.create_task(desk.result(given.id, timeout_s=60))

    await RecoveryResults(broker).publish(result_of(given, broker))

    assert (await waiting).detail == "so it went"


async def test_the_first_result_counts(desk: CommandDesk, broker: Broker) -> None:
    given = await desk.issue(restart(broker))
    results = RecoveryResults(broker)

    await results.publish(result_of(given, broker))
    await results.publish(result_of(given, broker, CommandOutcome.UNKNOWN))

    assert (await desk.result(given.id, timeout_s=60)).outcome is CommandOutcome.DONE
    assert await stored(broker, subjects.recovery_result("*")) == 1


async def test_no_result_is_said_with_what_to_look_at(desk: CommandDesk, broker: Broker) -> None:
    with pytest.raises(NoResultError, match="waggle status"):
        await desk.result("nobody", timeout_s=0.1)

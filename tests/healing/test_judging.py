"""What of that which was done counts as wrong."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import CommandOutcome, RecoveryCommand, RecoveryResult
from tests.healing.fault import Struck
from tests.healing.faults.processes import Frozen, Killed
from tests.healing.procedure import wrong_actions
from tests.healing.witness import Account
from tests.support.recovery import command

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
STRUCK = Struck(what="SIGSTOP of embed-1", named=frozenset({"embed-1"}), targets=frozenset({"embed-1"}))


def restart(name: str, number: int = 1) -> RecoveryCommand:
    return command(Act.RESTART_SERVICE, name, "embed", now=NOW, id=f"c-{name}-{number}")


def refused(given: RecoveryCommand) -> RecoveryResult:
    return RecoveryResult(
        id=given.id,
        decision=given.decision,
        incident=given.incident,
        action=given.action,
        target=given.target,
        outcome=CommandOutcome.REFUSED,
        detail="not now",
        began_at=NOW,
        token=given.token,
    )


def test_restarting_what_was_struck_is_right() -> None:
    assert wrong_actions(Account(events=(restart("embed-1"),)), Frozen(), STRUCK) == []


def test_restarting_another_one_is_wrong() -> None:
    assert wrong_actions(Account(events=(restart("embed-2"),)), Frozen(), STRUCK) == ["restart_service embed-2"]


def test_what_the_platform_does_is_not_to_be_repeated() -> None:
    assert wrong_actions(Account(events=(restart("embed-1"),)), Killed(), STRUCK) == ["restart_service embed-1"]


def test_the_same_again_and_again_is_wrong() -> None:
    twice = Account(events=(restart("embed-1"), restart("embed-1", 2)))

    assert wrong_actions(twice, Frozen(), STRUCK) == ["restart_service embed-1 again and again"]


def test_what_was_refused_was_not_done() -> None:
    given = restart("embed-1")

    assert wrong_actions(Account(events=(given, refused(given), restart("embed-1", 2))), Frozen(), STRUCK) == []


def test_an_order_without_a_decision_and_a_result_is_not_in_the_audit() -> None:
    assert Account(events=(restart("embed-1"),)).unaudited() == ["restart_service of embed-1"]

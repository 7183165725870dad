"""Repairs in the stream OPS, the pause, and people's answers: against a real broker."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts import subjects, topology
from contracts.message import Message
from contracts.recovery import RecoveryDecision, RecoveryPause, Verdict
from contracts.recovery_views import RecoveryEntry, RecoveryKind
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.recovery.approvals import ApprovalRefusedError, Approvals, NoSuchDecisionError
from messaging.recovery.audit import RecoveryLog
from messaging.recovery.pausing import (
    KEY,
    PauseConflictError,
    PauseFollower,
    PauseRefusedError,
    PauseSwitch,
    PauseUnknownError,
)
from messaging.storage import Storage
from tests.support.repairs import INCIDENT, TARGET, approval, command, decision, result, verification
from tests.support.waiting import until

HOUR = timedelta(hours=1)


@pytest.fixture
def audit(broker: Broker) -> RecoveryLog:
    return RecoveryLog(broker)


async def told(broker: Broker, subject: str, event: Message) -> None:
    await broker.publish(subject, event, stream=topology.OPS, message_id=f"{type(event).__name__}.{event.to_bytes()!r}")


async def whole_repair(broker: Broker, audit: RecoveryLog) -> None:
    await audit.record(decision())
    await told(broker, subjects.recovery_command(TARGET), command())
    await told(broker, subjects.recovery_result("c-1"), result())
    await audit.record(verification())
    await told(broker, subjects.recovery_approval("d-await_approval-10"), approval())
    await audit.record(decision(Verdict.WITHHELD, incident="another"))


async def ids(audit: RecoveryLog, **wanted: Any) -> list[tuple[str, str]]:
    entries = [RecoveryEntry.of(event) for event in (await audit.events(**wanted)).events]
    return [(entry.kind.value, entry.id) for entry in entries]


class TestTheAudit:
    async def test_a_decision_is_recorded_once_whoever_records_it_and_however_late(self, broker, audit):
        first, second = decision(), decision(Verdict.WITHHELD, seconds=20)
        # Without a message id: as it is once the stream's duplicate window has passed.
        await broker.publish_bytes(subjects.recovery_decision(INCIDENT), first.to_bytes(), stream=topology.OPS.name)
        assert await audit.record(second)
        assert not await RecoveryLog(broker).record(first.model_copy(update={"principal": "observer-2"}))
        assert await audit.decisions(INCIDENT) == [first, second]

    async def test_of_many_at_the_same_moment_each_is_recorded_and_none_twice(self, broker, audit):
        wanted = [decision(seconds=n) for n in range(4)] * 2
        stored = await asyncio.gather(*(audit.record(each) for each in wanted))
        assert sum(stored) == 4
        assert {each.id for each in await audit.decisions(INCIDENT)} == {each.id for each in wanted}
        assert await Storage(broker).count(topology.OPS.name, subjects.recovery_decision(INCIDENT)) == 4

    async def test_all_kinds_are_read_in_the_order_in_which_they_were_stored(self, broker, audit):
        await whole_repair(broker, audit)
        assert await ids(audit) == [
            ("decision", "d-act-10"),
            ("command", "c-1"),
            ("result", "c-1"),
            ("verification", "v-recovered-40"),
            ("approval", "d-await_approval-10"),
            ("decision", "d-withheld-10"),
        ]

    async def test_kinds_incidents_and_verdicts_choose(self, broker, audit):
        await whole_repair(broker, audit)
        assert await ids(audit, kinds=(RecoveryKind.COMMAND, RecoveryKind.RESULT)) == [
            ("command", "c-1"),
            ("result", "c-1"),
        ]
        assert await ids(audit, kinds=(RecoveryKind.VERIFICATION,)) == [("verification", "v-recovered-40")]
        assert await ids(audit, incident="another") == [("decision", "d-withheld-10")]
        assert await ids(audit, verdicts=(Verdict.ACT,)) == [("decision", "d-act-10")]
        assert len(await ids(audit, incident=INCIDENT)) == 5

    async def test_pages_follow_each_other_without_gaps(self, broker, audit):
        await whole_repair(broker, audit)
        found, after = [], 0
        while True:
            page = await audit.events(after=after, limit=2)
            found += page.events
            if page.after is None:
                break
            after = page.after
        assert len(found) == 6

    async def test_a_span_ends_where_it_is_told_to(self, broker, audit):
        before = await now(broker)
        await whole_repair(broker, audit)
        assert await ids(audit, until=before) == []
        assert len(await ids(audit, since=before)) == 6
        assert await ids(audit, since=await now(broker) + HOUR) == []

    async def test_what_cannot_be_read_is_left_out_and_the_rest_is_there(self, broker, audit):
        await broker.publish_bytes(subjects.recovery_decision("odd"), b"{}", stream=topology.OPS.name)
        await broker.publish_bytes(f"{subjects.RECOVERY}.dances.odd", b"{}", stream=topology.OPS.name)
        await audit.record(decision())
        assert await ids(audit) == [("decision", "d-act-10")]

    async def test_what_is_shown_holds_no_signature_and_says_how_much_was_captured(self):
        assert "signature" not in RecoveryEntry.of(command()).model_dump_json()
        assert RecoveryEntry.of(result()).captured_bytes == len("the last line of its log")


class TestAnswers:
    @pytest.fixture
    async def waiting(self, broker: Broker, audit: RecoveryLog) -> RecoveryDecision:
        made = decision(Verdict.AWAIT_APPROVAL, created_at=await now(broker))
        await audit.record(made)
        return made

    async def test_the_first_answer_counts_and_others_are_told_so(self, broker, waiting):
        given = await Approvals(broker).answer(waiting.id, approved=False, reason="not at noon", principal="ann")
        assert (given.incident, given.approved) == (INCIDENT, False)
        again = await Approvals(broker).answer(waiting.id, approved=False, reason="really", principal="ann")
        assert again == given
        with pytest.raises(ApprovalRefusedError, match=r"ann said no .* the first answer counts"):
            await Approvals(broker).answer(waiting.id, approved=True, reason="do it", principal="bob")
        assert await Approvals(broker).find(waiting.id) == given

    async def test_of_two_at_the_same_moment_one_counts(self, broker, waiting):
        answers = await asyncio.gather(
            *(
                Approvals(broker).answer(waiting.id, approved=name == "ann", reason="so", principal=name)
                for name in ("ann", "bob", "cy")
            ),
            return_exceptions=True,
        )
        assert sum(not isinstance(each, BaseException) for each in answers) == 1
        assert all(isinstance(each, ApprovalRefusedError) for each in answers if isinstance(each, BaseException))

    async def test_what_waits_for_nobody_is_not_answered(self, broker, audit):
        await audit.record(decision())
        with pytest.raises(ApprovalRefusedError, match="waits for no answer: its verdict is act"):
            await Approvals(broker).answer("d-act-10", approved=True, reason="yes", principal="ann")
        with pytest.raises(NoSuchDecisionError, match="waggle recovery log"):
            await Approvals(broker).answer("nothing", approved=True, reason="yes", principal="ann")

    async def test_an_answer_comes_too_late_once_the_incident_went_on(self, broker, audit, waiting):
        await audit.record(decision(Verdict.WITHHELD, seconds=60))
        with pytest.raises(ApprovalRefusedError, match="too late: decision d-withheld-60"):
            await Approvals(broker).answer(waiting.id, approved=True, reason="yes", principal="ann")

    async def test_what_is_told_of_other_targets_meanwhile_changes_nothing(self, broker, audit, waiting):
        other = TARGET.model_copy(update={"name": "embed-2"})
        await audit.record(decision(Verdict.WITHHELD, seconds=60, target=other))
        assert (await Approvals(broker).answer(waiting.id, approved=True, reason="yes", principal="ann")).approved

    async def test_an_answer_comes_too_late_once_all_is_well(self, broker, audit, waiting):
        await audit.record(verification(command=None, created_at=waiting.created_at))
        with pytest.raises(ApprovalRefusedError, match=r"too late: .* has recovered"):
            await Approvals(broker).answer(waiting.id, approved=True, reason="yes", principal="ann")
        assert await Approvals(broker).find(waiting.id) is None


class TestThePause:
    async def test_it_has_a_reason_an_end_and_somebody_and_can_be_ended(self, broker):
        switch = PauseSwitch(broker)
        assert await switch.current() is None
        made = await switch.pause("moving the index", HOUR, principal="ann")
        current = await switch.current()
        assert current == made
        assert (made.reason, made.principal) == ("moving the index", "ann")
        assert await switch.resume(principal="bob") == made
        assert await switch.current() is None
        assert await switch.resume(principal="bob") is None

    async def test_one_that_would_never_end_or_is_over_is_refused(self, broker):
        switch = PauseSwitch(broker)
        for wrong in (timedelta(0), timedelta(days=-1), timedelta(days=8)):
            with pytest.raises(PauseRefusedError):
                await switch.pause("because", wrong, principal="ann")
        assert await switch.current() is None

    async def test_it_ends_by_itself(self, broker):
        await PauseSwitch(broker).pause("a moment", timedelta(milliseconds=50), principal="ann")

        async def over() -> bool:
            return await PauseSwitch(broker).current() is None

        await until(over)

    async def test_of_two_at_the_same_moment_one_is_told_to_look(self, broker, monkeypatch):
        switch = PauseSwitch(broker)
        read = switch._bucket.get

        async def then_another(key: str) -> Any:
            entry = await read(key)
            await PauseSwitch(broker).pause("faster", HOUR, principal="bob")
            return entry

        monkeypatch.setattr(switch._bucket, "get", then_another)
        with pytest.raises(PauseConflictError, match="look at it"):
            await switch.pause("slower", HOUR, principal="ann")
        current = await PauseSwitch(broker).current()
        assert current is not None
        assert current.principal == "bob"

    async def test_a_follower_knows_nothing_before_it_has_read_and_then_all_that_comes(self, broker):
        follower = PauseFollower(broker)
        with pytest.raises(PauseUnknownError, match="not read yet"):
            _ = follower.current
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follower.run())
            await follower.read_once.wait()
            assert follower.current is None
            await PauseSwitch(broker).pause("maintenance", HOUR, principal="ann")
            await until(lambda: follower.current is not None)
            await PauseSwitch(broker).resume(principal="ann")
            await until(lambda: follower.current is None)
            running.cancel()

    async def test_a_follower_sees_a_pause_end_by_itself(self, broker):
        follower = PauseFollower(broker)
        follower._unknown = ""
        follower._pause = RecoveryPause(reason="over soon", ends_at=await now(broker) + timedelta(milliseconds=50))
        await until(lambda: follower.current is None)

    async def test_a_pause_that_cannot_be_read_means_that_nothing_is_acted_upon_until_it_is_ended(self, broker):
        await Bucket(broker, topology.CONFIG).write(KEY, b'{"schema_version": 99}', revision=0)
        with pytest.raises(PauseUnknownError, match="waggle recovery resume"):
            await PauseSwitch(broker).current()
        follower = PauseFollower(broker)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(follower.run())
            await follower.read_once.wait()
            with pytest.raises(PauseUnknownError):
                _ = follower.current
            await PauseSwitch(broker).resume(principal="ann")
            await until(lambda: _is_free(follower))
            running.cancel()


async def now(broker: Broker) -> datetime:
    await broker.look()
    return broker.clock.now()


def _is_free(follower: PauseFollower) -> bool:
    try:
        return follower.current is None
    except PauseUnknownError:
        return False

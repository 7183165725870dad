"""People's answers to decisions that wait for one. The first answer to a decision counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from contracts import subjects, topology
from contracts.errors import PermanentError
from contracts.identifiers import new_id
from contracts.recovery import RecoveryApproval, RecoveryDecision, Verdict, Verified
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST
from messaging.errors import BrokerUnavailableError, PublishRefusedError
from messaging.event_pages import event_of
from messaging.recovery.audit import RecoveryLog
from messaging.storage import Storage
from observability.incidents.waiting import successor

ANSWERABLE: Final = timedelta(days=1)
"""What was decided longer ago is not done any more, whatever somebody says."""


class NoSuchDecisionError(PermanentError):
    """There is no decision of this id, or it is too old to be answered."""


class ApprovalRefusedError(PermanentError):
    """The answer does not count: the decision waits for none, was answered otherwise, or it comes too late."""


class Approvals:
    """Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._storage = Storage(broker)
        self._log = RecoveryLog(broker)

    async def find(self, decision: str) -> RecoveryApproval | None:
        """The answer to a decision that counts; None: there is none."""
        stored = await self._storage.last(topology.OPS.name, subjects.recovery_approval(decision))
        return None if stored is None else event_of(RecoveryApproval, stored)

    async def answer(
        self, decision: str, *, approved: bool, reason: str, principal: str, claimed_by: str | None = None
    ) -> RecoveryApproval:
        """Say yes or no to a decision, and return the answer that counts. The same answer of the same person again changes
        nothing.

        Raises `NoSuchDecisionError`, `ApprovalRefusedError`, and `ValidationError` for a reason that is none.
        """
        now = self._broker.clock.now()
        asked = await self._log.decision(decision, since=now - ANSWERABLE)
        if asked is None:
            raise NoSuchDecisionError(
                f"no decision {decision} was made within the last day: `waggle recovery log` lists them"
            )
        wanted = RecoveryApproval(
            decision=asked.id,
            incident=asked.incident,
            approved=approved,
            reason=reason,
            principal=principal,
            claimed_by=claimed_by,
            created_at=now,
        )
        known = await self.find(asked.id)
        if known is not None:
            return _same(known, wanted)
        await self._require_waiting(asked)
        return await self._publish(wanted)

    async def _require_waiting(self, asked: RecoveryDecision) -> None:
        if asked.verdict is not Verdict.AWAIT_APPROVAL:
            raise ApprovalRefusedError(f"decision {asked.id} waits for no answer: its verdict is {asked.verdict.value}")
        verified = await self._log.last_verification(asked.incident)
        if verified is not None and verified.verified is Verified.RECOVERED and verified.created_at >= asked.created_at:
            raise ApprovalRefusedError(f"too late: incident {asked.incident} has recovered ({verified.detail})")
        newer = successor(asked, await self._log.decisions(asked.incident))
        if newer is not None:
            raise ApprovalRefusedError(
                f"too late: decision {newer.id} ({newer.verdict.value}) took the place of {asked.id}; "
                f"`waggle incidents {asked.incident}` shows how it stands"
            )

    async def _publish(self, wanted: RecoveryApproval) -> RecoveryApproval:
        try:
            await self._broker.publish(
                subjects.recovery_approval(wanted.decision),
                wanted,
                stream=topology.OPS,
                message_id=f"approval.{new_id()}",
                headers={HEADER_EXPECTED_LAST: "0"},
            )
        except PublishRefusedError as error:
            if error.err_code not in ERR_WRONG_LAST:
                raise
            known = await self.find(wanted.decision)  # somebody answered at the same moment
            if known is None:
                raise BrokerUnavailableError(f"the answer to {wanted.decision} cannot be read: try again") from error
            return _same(known, wanted)
        return wanted


def _same(known: RecoveryApproval, wanted: RecoveryApproval) -> RecoveryApproval:
    if (known.approved, known.principal, known.by) != (wanted.approved, wanted.principal, wanted.by):
        said = "yes" if known.approved else "no"
        raise ApprovalRefusedError(
            f"too late: {known.by} said {said} to {known.decision} at {known.created_at.isoformat()}; "
            "the first answer counts"
        )
    return known

"""Looks at everything in turn, and puts right what is amiss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from opentelemetry.metrics import Meter

from contracts import subjects, topology
from contracts.errors import TransientError, WaggleError
from contracts.identifiers import digest
from contracts.reconciliation import ReconcileEvent, Remedy
from messaging.broker import Broker
from messaging.leases import LeaseHeldError, LeaseLostError, Leases
from workers.keeper.reconciliation.finding import Finding, Look, Rhythm

LEASE = "reconciler"
PRINCIPAL = "keeper"
CANDIDACY_S = 5.0
"""How often a keeper that does not lead tries to."""

LEFT_ALONE = frozenset({Remedy.QUARANTINE, Remedy.HOLD})
MOST_TOLD = 10_000
"""How many things left alone are remembered as told; the oldest is told anew."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What all looks found. `unseen` says of which nothing could be told, and why."""

    findings: tuple[Finding, ...]
    unseen: dict[str, str] = field(default_factory=dict)


class Reconciler:
    """Applies the remedies of `looks`, each of them after it was found twice.

    One keeper at a time does it, by lease. That saves work; it is not what keeps it safe: remedies bear being applied by
    several at once.
    """

    def __init__(
        self,
        broker: Broker,
        looks: Sequence[Look],
        *,
        meter: Meter,
        rhythm: Rhythm,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._broker = broker
        self._looks = looks
        self._rhythm = rhythm
        self._monotonic = monotonic
        self._due: dict[str, float] = {}
        self._told: dict[tuple[Remedy, str, str], None] = {}
        self._remedies = meter.create_counter(
            "waggle.reconciler.remedies", description="Things found amiss, by what was done about them."
        )
        self._unseen = meter.create_counter(
            "waggle.reconciler.unseen", description="Looks that could not tell whether anything is amiss."
        )

    async def run(self, leases: Leases) -> None:
        """Lead whenever nobody else does, until cancelled."""
        while True:
            try:
                async with leases.held(LEASE):
                    log.info("reconciler leads")
                    await self._lead()
            except LeaseHeldError:
                pass
            except (LeaseLostError, TransientError) as error:
                log.warning("reconciler does not lead", reason=str(error))
            await asyncio.sleep(CANDIDACY_S)

    async def survey(self) -> Survey:
        """What is amiss, without doing anything about it."""
        return await self._everywhere(lambda look: look.find())

    async def reconcile_all(self) -> Survey:
        """Look at everything once; the findings are those whose remedies were applied."""
        return await self._everywhere(self.reconcile)

    async def _everywhere(self, at: Callable[[Look], Awaitable[Sequence[Finding]]]) -> Survey:
        findings, unseen = list[Finding](), dict[str, str]()
        for look in self._looks:
            try:
                findings += await at(look)
            except TransientError as error:
                unseen[look.name] = str(error)
            except Exception as error:
                log.exception("cannot be looked at", look=look.name)
                unseen[look.name] = f"{type(error).__name__}: {error}"
        return Survey(findings=tuple(findings), unseen=unseen)

    async def reconcile(self, look: Look) -> list[Finding]:
        """Look, look again, and apply the remedy of whatever is amiss both times. Returns what was done.

        Raises `TransientError` when it cannot be told what is amiss. A remedy that fails is left to the next time.
        """
        first = {finding.key for finding in await look.find()}
        if not first:
            return []
        await asyncio.sleep(self._rhythm.confirm_s)
        return [f for f in await look.find() if f.key in first and await self._apply(f)]

    async def _lead(self) -> None:
        while True:
            for look in self._looks:
                if self._monotonic() >= self._due.get(look.name, 0.0):
                    await self._one(look)
                    self._due[look.name] = self._monotonic() + look.interval_s
            await asyncio.sleep(min(look.interval_s for look in self._looks))

    async def _one(self, look: Look) -> None:
        try:
            await self.reconcile(look)
        except Exception as error:
            known = isinstance(error, WaggleError)
            log.warning("cannot be looked at", look=look.name, reason=str(error), exc_info=None if known else error)
            self._unseen.add(1, {"waggle.look": look.name})

    async def _apply(self, finding: Finding) -> bool:
        if finding.remedy in LEFT_ALONE and finding.key in self._told:
            return False
        try:
            await finding.apply()
            await self._tell(finding)
        except WaggleError as error:
            log.warning("could not be put right", **_named(finding), failure=str(error))
            return False
        return True

    async def _tell(self, finding: Finding) -> None:
        log.warning("put right" if finding.remedy not in LEFT_ALONE else "left alone", **_named(finding))
        self._remedies.add(1, {"waggle.remedy": finding.remedy.value})
        event = ReconcileEvent(
            id=f"reconcile.{finding.remedy}.{digest(finding.tenant, finding.subject)[:32]}",
            tenant=finding.tenant,
            principal=PRINCIPAL,
            created_at=self._broker.clock.now(),
            remedy=finding.remedy,
            subject=finding.subject,
            document_id=finding.document_id,
            generation=finding.generation,
            reason=finding.reason,
            count=finding.count,
        )
        subject = subjects.reconcile_event(finding.remedy, finding.tenant)
        await self._broker.publish(subject, event, stream=topology.EVENTS, message_id=event.id)
        if finding.remedy in LEFT_ALONE:
            self._told[finding.key] = None
            while len(self._told) > MOST_TOLD:
                del self._told[next(iter(self._told))]


def _named(finding: Finding) -> dict[str, object]:
    return {
        "remedy": finding.remedy.value,
        "tenant": finding.tenant,
        "subject": finding.subject,
        "reason": finding.reason,
    }

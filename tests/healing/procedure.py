"""Breaks one thing, waits until it is well again, and judges what was done meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from contracts.recovery import CommandOutcome
from messaging.errors import BrokerUnavailableError
from observability.diagnosis.records import EpisodeRecord
from tests.healing.fault import Fault, Line, Repairer, Struck
from tests.healing.site import Site
from tests.healing.witness import Account, Witness
from tests.support.waiting import until

DETECTED_S: Final = 60.0
"""Beyond what a fault allows: then it never is."""
MENDED_S: Final = 150.0
LOOK_S: Final = 0.25
AFTERWARDS_S: Final = 15.0
"""How long it is looked at what an observer does that hears again."""


class Procedure:
    """Of one fault on one site."""

    def __init__(self, fault: Fault, site: Site, say: Callable[[str], None]) -> None:
        self._fault = fault
        self._site = site
        self._say = say
        self._line = Line(fault=fault)
        self._blind_until: datetime | None = None

    async def run(self) -> Line:
        """What was waited for in vain is a problem of the fault, not the end of the campaign."""
        begun, witness = time.monotonic(), Witness(self._site)
        struck = await self._fault.strike(self._site)
        self._line.what = struck.what
        self._say(struck.what)
        try:
            await self._course(struck, witness, begun)
        except AssertionError as error:
            self._line.problems.append(str(error))
        finally:
            await self._fault.relieve(self._site, struck)
        await self._returned(struck)
        await self._judge(struck, witness)
        self._line.took_s = time.monotonic() - begun
        return self._line

    async def _course(self, struck: Struck, witness: Witness, begun: float) -> None:
        fault, line = self._fault, self._line
        if fault.cause is not None or fault.repairer is Repairer.PLATFORM:
            await self._detected(struck, witness, begun)
        prepared_s = 0.0 if struck.at is None else (struck.at - witness.since).total_seconds()
        detected = begun if line.detected_s is None else begun + prepared_s + line.detected_s
        if fault.repairer is Repairer.CAMPAIGN:
            await asyncio.sleep(fault.hold_s)
            self._blind_until = self._site.broker.clock.now() if fault.blind else None
            await fault.relieve(self._site, struck)
            detected = time.monotonic()
        await _looked(
            lambda: fault.mended(self._site, struck), timeout_s=MENDED_S, what=f"{struck.what}: it is well again"
        )
        if fault.blind:
            await asyncio.sleep(AFTERWARDS_S)
        if line.repairable:
            line.repaired_s = max(0.0, time.monotonic() - (begun if fault.repairer is Repairer.PLATFORM else detected))
            self._say(f"repaired after {line.repaired_s:.1f} s")
            await asyncio.sleep(fault.hold_s)

    async def _returned(self, struck: Struck) -> None:
        fault = self._fault
        if not fault.returns or self._line.problems:
            return
        try:
            await _looked(
                lambda: fault.returned(self._site, struck),
                timeout_s=self._site.scale.returned_s,
                what="what was done for a while is taken back",
            )
        except AssertionError as error:
            self._line.problems.append(str(error))
        else:
            self._say("what was done for a while is taken back")

    async def _detected(self, struck: Struck, witness: Witness, begun: float) -> None:
        fault, line = self._fault, self._line
        timeout_s = fault.detect_within_s + DETECTED_S
        if fault.repairer is Repairer.PLATFORM:
            await _looked(lambda: fault.detected(self._site, struck), timeout_s=timeout_s, what="the platform notices")
            line.detected_s = time.monotonic() - begun
            return

        found: list[EpisodeRecord] = []

        async def named() -> bool:
            found[:] = [root for root in await _roots(witness) if _is_it(root, fault, struck)]
            return bool(found)

        await _looked(named, timeout_s=timeout_s, what=f"{fault.cause} of {sorted(struck.named)} is named")
        root = found[0]
        line.detected_s = (root.began_at - (struck.at or witness.since)).total_seconds()
        self._say(f"detected after {line.detected_s:.1f} s: {root.diagnosis.summary}")

    async def _judge(self, struck: Struck, witness: Witness) -> None:
        fault, line = self._fault, self._line
        account = await self._verified(witness)
        roots = await witness.roots()
        strange = [
            root
            for root in roots
            if not (_is_it(root, fault, struck) or root.diagnosis.cause in fault.besides or _names(root, struck.also))
        ]
        line.causes = [f"{each.diagnosis.cause.value}: {each.diagnosis.summary}" for each in roots]
        line.cause_right = not strange and (fault.cause is None or line.detected_s is not None)
        line.actions = [_told(account, each.id, f"{each.action.value} {each.target.name}") for each in account.commands]
        line.wrong = wrong_actions(account, fault, struck)
        line.blind = [
            f"{each.action.value} {each.target.name}"
            for each in account.commands
            if self._blind_until is not None and each.created_at <= self._blind_until
        ]
        line.decisions, line.notified = account.told(), witness.notified()
        self._require(account)

    def _require(self, account: Account) -> None:
        fault, line = self._fault, self._line
        line.require(line.cause_right, f"named were: {line.causes or 'none'}")
        line.require(not line.wrong, f"wrong actions: {line.wrong}")
        line.require(not line.blind, f"done while blind: {line.blind}")
        line.require(not account.unaudited(), f"not in the audit: {account.unaudited()}")
        if line.detected_s is not None:
            line.require(line.detected_s <= fault.detect_within_s, f"detected after {line.detected_s:.1f} s")
        if line.repaired_s is not None:
            line.require(line.repaired_s <= fault.repair_within_s, f"repaired after {line.repaired_s:.1f} s")
        if fault.repairer is Repairer.OPERATOR:
            done = [each for each in account.results.values() if each.outcome is CommandOutcome.DONE]
            line.require(done, "nothing was done about it")

    async def _verified(self, witness: Witness) -> Account:
        """The audit, once it is known of all that was done whether it helped, or that takes too long."""
        deadline = time.monotonic() + self._site.scale.verified_s
        while True:
            account = await witness.account()
            if not account.unverified() or time.monotonic() > deadline:
                return account
            await asyncio.sleep(1)


def wrong_actions(account: Account, fault: Fault, struck: Struck) -> list[str]:
    """What was ordered that does not fit, or more often than it may be."""
    orders = [(each.action, each.target.name) for each in account.commands if not _was_refused(account, each.id)]
    wrong = [
        f"{action.value} {name}" for action, name in orders if action not in fault.actions or name not in struck.targets
    ]
    often = [order for order, count in Counter(orders).items() if count > fault.most_actions]
    return wrong + [f"{action.value} {name} again and again" for action, name in often]


def _was_refused(account: Account, command: str) -> bool:
    result = account.results.get(command)
    return result is not None and result.outcome is CommandOutcome.REFUSED


def _told(account: Account, command: str, what: str) -> str:
    result = account.results.get(command)
    return f"{what}: {'no result' if result is None else result.outcome.value}"


def _is_it(root: EpisodeRecord, fault: Fault, struck: Struck) -> bool:
    return root.diagnosis.cause is fault.cause and _names(root, struck.named)


def _names(root: EpisodeRecord, names: frozenset[str]) -> bool:
    subject = root.diagnosis.subject
    return bool({subject.instance or subject.component, subject.service} & names)


async def _roots(witness: Witness) -> list[EpisodeRecord]:
    """None while the broker is away: it may be what was broken."""
    try:
        return await witness.roots()
    except BrokerUnavailableError:
        return []


async def _looked(condition: Callable[[], Awaitable[bool]], *, timeout_s: float, what: str) -> None:
    """Wait until it is so, and leave the machine to the stack meanwhile."""

    async def paced() -> bool:
        await asyncio.sleep(LOOK_S)
        return await condition()

    await until(paced, timeout_s=timeout_s, what=what)

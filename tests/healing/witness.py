"""What the observer found, decided, ordered and told since a moment, read from the broker and where people are told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.recovery import (
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Verdict,
)
from contracts.recovery_views import RecoveryEvent
from messaging.diagnosis_records import BucketEpisodes
from messaging.recovery.audit import MOST_EVENTS, RecoveryLog
from observability.diagnosis.records import EpisodeRecord
from tests.healing.site import Site

ALWAYS = "Watchdog"
SURE = 0.6
"""Who is less sure does nothing, and names nothing."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """All that is in the audit, oldest first."""

    events: tuple[RecoveryEvent, ...]

    @property
    def commands(self) -> list[RecoveryCommand]:
        return [each for each in self.events if isinstance(each, RecoveryCommand)]

    @property
    def decisions(self) -> list[RecoveryDecision]:
        return [each for each in self.events if isinstance(each, RecoveryDecision)]

    @property
    def results(self) -> dict[str, RecoveryResult]:
        """By command."""
        return {each.id: each for each in self.events if isinstance(each, RecoveryResult)}

    @property
    def verifications(self) -> list[RecoveryVerification]:
        return [each for each in self.events if isinstance(each, RecoveryVerification)]

    def unaudited(self) -> list[str]:
        """Commands without the decision behind them, or without what became of them."""
        decided = {each.id for each in self.decisions if each.verdict is Verdict.ACT}
        return [
            f"{each.action.value} of {each.target.name}"
            for each in self.commands
            if each.decision not in decided or each.id not in self.results
        ]

    def unverified(self) -> bool:
        """Whether it is not known yet of some command what came of it."""
        known = {each.command for each in self.verifications}
        return any(each.id not in known for each in self.commands)

    def told(self) -> list[str]:
        """Each decision in a line."""
        return [_line(each) for each in self.decisions]


class Witness:
    """Of one fault. Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._log = RecoveryLog(site.broker)
        self._episodes = BucketEpisodes(site.broker)
        self._told = len(site.receiver.received)
        self.since: datetime = site.broker.clock.now()

    async def roots(self) -> list[EpisodeRecord]:
        """What was found to be behind the rest, the first one first."""
        stored = [each.record for each in await self._episodes.load() if each.record is not None]
        began = [each for each in stored if each.began_at >= self.since and each.diagnosis.is_root]
        return sorted(
            (each for each in began if each.diagnosis.confidence >= SURE), key=lambda each: (each.began_at, each.key)
        )

    async def account(self) -> Account:
        events, after = list[RecoveryEvent](), 0
        while True:
            page = await self._log.events(since=self.since, after=after, limit=MOST_EVENTS)
            events += page.events
            if page.after is None:
                return Account(events=tuple(events))
            after = page.after

    def notified(self) -> list[str]:
        """Alerts that people were told of, by name."""
        alerts = (alert for each in self._site.receiver.received[self._told :] for alert in each.json["alerts"])
        fired = {alert["labels"]["alertname"] for alert in alerts if alert["status"] == "firing"}
        return sorted(fired - {ALWAYS})


def _line(decision: RecoveryDecision) -> str:
    target = "" if decision.target is None else f" of {decision.target.name}"
    held = "" if decision.safeguard is None else f" by {decision.safeguard.value}"
    when = f"{decision.created_at:%H:%M:%S}"
    return f"{when} {decision.cause.value}: {decision.action.value}{target}: {decision.verdict.value}{held}: {decision.why}"

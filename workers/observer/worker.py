"""The observer: watches the fleet, evaluates rules, and tells people. Two or more may run; one leads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from contracts import topology
from contracts.platforms import Platform
from contracts.settings import ObserverSettings
from messaging.app import WorkerApp
from messaging.leases import Leases
from messaging.recovery import RecoveryKey
from messaging.silences import SilenceKeeper
from observability.alerting import AlertBoard, EvaluationThreads, RuleBook, RuleMetrics
from observability.notifications import Silences
from observability.recovery import load_policy
from workers.observer.announcing import Announcer
from workers.observer.answering import answering
from workers.observer.diagnosing import Diagnoses, diagnosing
from workers.observer.intake import Intake
from workers.observer.leading import Leadership
from workers.observer.recovery import Recovery, recovering
from workers.observer.rhythm import Rhythm
from workers.observer.rules import RuleWatch, rule_files
from workers.observer.term import Duty, Means
from workers.observer.watch import FleetWatch

SERVICE = "observer"
SHIPPED_RULES = Path(__file__).parents[2] / "deploy" / "rules"
SHIPPED_POLICY = Path(__file__).parents[2] / "deploy" / "recovery" / "policy.yaml"
"""Data of the package, read as files: code of that layer is not imported here."""


def build(
    settings: ObserverSettings,
    *,
    table: topology.Topology | None = None,
    rhythm: Rhythm | None = None,
    shipped_rules: Path = SHIPPED_RULES,
    intake: Callable[[WorkerApp], Intake] | None = None,
    duties: Sequence[Callable[[Parts], Duty]] = (answering, diagnosing, recovering),
    platform: Platform | None = None,
) -> WorkerApp:
    """An observer. `intake` makes what gathers the fleet's series, where that is not the usual one; `duties` are done beside
    evaluating by the one that leads. Both are made once the broker is there. `platform` tells how it sees the instances; it is
    never acted upon here. Without a `rhythm` the settings say it.
    """
    app = WorkerApp(settings, service=SERVICE, table=table)
    make_intake = intake or partial(FleetWatch, settings=settings, table=table)
    parts = Parts(
        app,
        settings,
        table or topology.Topology(),
        rhythm or Rhythm(diagnose_s=settings.diagnosis_interval_s),
        shipped_rules=shipped_rules,
        intake=make_intake,
        duties=duties,
        platform=platform,
    )
    app.on_startup(parts.start)
    app.background("intake", parts.take_in)
    app.background("rules", parts.keep_rules)
    app.background("silences", parts.keep_silences)
    app.background("leadership", parts.lead)
    return app


class Parts:
    """What the observer is made of; put together once the broker is there."""

    intake: Intake
    board: AlertBoard
    rules: RuleWatch
    announcer: Announcer
    diagnoses: Diagnoses
    recovery: Recovery
    leadership: Leadership

    def __init__(
        self,
        app: WorkerApp,
        settings: ObserverSettings,
        table: topology.Topology,
        rhythm: Rhythm,
        *,
        shipped_rules: Path,
        intake: Callable[[WorkerApp], Intake],
        duties: Sequence[Callable[[Parts], Duty]],
        platform: Platform | None,
    ) -> None:
        self.app = app
        self.settings = settings
        self.silences = Silences()
        self._table = table
        self._rhythm = rhythm
        self._files = rule_files(settings, shipped_rules)
        self._intake = intake
        self._duties = duties
        self._platform = platform

    async def start(self) -> None:
        broker, meter = self.app.broker, self.app.meter
        metrics = RuleMetrics(meter)
        self.intake = await asyncio.to_thread(self._intake, self.app)
        self.board = AlertBoard()
        self.rules = RuleWatch(broker, RuleBook(metrics), self._files, rhythm=self._rhythm)
        self.diagnoses = Diagnoses(
            broker, self.intake.series, memory_s=self.settings.series_memory_s, rhythm=self._rhythm
        )
        self.recovery = await asyncio.to_thread(self._repairs)
        self.announcer = Announcer(
            broker,
            self.settings,
            silences=self.silences,
            meter=meter,
            rhythm=self._rhythm,
            graph=lambda: self.intake.graph,
        )
        means = Means(
            broker=broker,
            series=self.intake.series,
            rules=self.rules,
            board=self.board,
            announcer=self.announcer,
            metrics=metrics,
            threads=EvaluationThreads(),
            rhythm=self._rhythm,
            interval_ms=int(self.settings.rule_interval_s * 1000),
            warm_at=time.monotonic() + self._rhythm.warm_up_s,
            duties=[duty(self) for duty in self._duties],
        )
        leases = Leases(broker, holder=self.settings.instance, bucket=self._table.leases)
        self.leadership = Leadership(leases, means, meter=meter, tell=self.app.tell)

    def _repairs(self) -> Recovery:
        """Raises `PermanentError` for a policy or a key that cannot be used."""
        policy = load_policy(self.settings.recovery_policy or SHIPPED_POLICY)
        key = None if self.settings.recovery_key_file is None else RecoveryKey.read(self.settings.recovery_key_file)
        return Recovery(self, policy, key, self._platform)

    async def take_in(self) -> None:
        await self.intake.run()

    async def keep_rules(self) -> None:
        await self.rules.run()

    async def keep_silences(self) -> None:
        keeper = SilenceKeeper(self.app.broker, self.silences, poll_s=self._rhythm.poll_s)
        await keeper.run(known=self.announcer.silences_known.set)

    async def lead(self) -> None:
        await self.leadership.run()

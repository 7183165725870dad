"""An observer that leads, inside a test: series in memory, and alerts, rules, history and figures that do not change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.metrics import NoOpMeter

from contracts.alert_views import (
    ActiveState,
    AlertChange,
    AlertsView,
    AlertView,
    FaultView,
    GroupView,
    HistoryView,
    NotificationView,
    ReloadView,
    RuleHealth,
    RuleKind,
    RulesView,
    RuleView,
)
from contracts.alerts import fingerprint
from contracts.component_health import (
    ComponentHealth,
    ComponentKind,
    DependenciesView,
    Dependency,
    HealthChange,
    HealthStatus,
    HealthView,
    InstanceHealth,
)
from contracts.diagnoses import (
    Cause,
    DiagnosesView,
    Diagnosis,
    DiagnosisHistoryView,
    EpisodeView,
    Evidence,
    RecommendedAction,
    Subject,
)
from contracts.figures import Direction, FigureStatus, FiguresView, FigureView, Layer, UptimeView
from contracts.notifications import SendOutcome, SendReason
from contracts.observing import Parameters, RequestKind
from messaging.broker import Broker
from messaging.observing import Answer, Handler, ObserverOffice
from observability.alert_questions import AlertQuestion, HistoryQuestion
from observability.alerting import EvaluationThreads
from observability.diagnosis import DiagnosisQuestion
from observability.health import HealthQuestion
from observability.metadata import MetricMetadata
from observability.promql import Labels
from observability.promql.labels import METRIC_NAME
from observability.querying import QueryApi
from observability.series import SeriesStore
from tests.support.subscriptions import known_to_broker
from workers.observer.series_answers import metrics_handler, series_handlers

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DEAD = {"alertname": "InstanceDead", "severity": "critical", "service": "embed", "instance": "embed-1"}
SLOW = {"alertname": "QueriesSlow", "severity": "warning"}
WATCHDOG = {"alertname": "Watchdog", "severity": "none"}


def alert(labels: dict[str, str], state: ActiveState, *, minutes: int, **more: Any) -> AlertView:
    since = NOW - timedelta(minutes=minutes)
    return AlertView(
        fingerprint=fingerprint(labels),
        labels=labels,
        annotations={"summary": f"{labels['alertname']} of {labels.get('service', 'the system')}"},
        state=state,
        since=since,
        fired_at=None if state is ActiveState.PENDING else since,
        rule=labels["alertname"],
        group="fleet",
        file="fleet.yaml",
        **more,
    )


ALERTS = AlertsView(
    items=(
        alert(DEAD, ActiveState.FIRING, minutes=3, value=0.0, silenced_by=("s1",)),
        alert(WATCHDOG, ActiveState.FIRING, minutes=600, value=1.0),
        alert(SLOW, ActiveState.PENDING, minutes=1, value=2.5),
        alert({**DEAD, "instance": "embed-2"}, ActiveState.RESOLVED, minutes=9, resolved_at=NOW - timedelta(minutes=4)),
    )
)
RULES = RulesView(
    groups=(
        GroupView(
            name="fleet",
            file="fleet.yaml",
            interval_s=5.0,
            last_evaluation=NOW,
            evaluation_s=0.25,
            rules=(
                RuleView(
                    name="InstanceDead",
                    kind=RuleKind.ALERTING,
                    query="waggle_up == 0",
                    labels={"severity": "critical"},
                    annotations={"summary": "{{ $labels.instance }} is dead"},
                    for_s=0.0,
                    health=RuleHealth.OK,
                    last_evaluation=NOW,
                    evaluation_s=0.001,
                    state=ActiveState.FIRING,
                    alerts=tuple(a for a in ALERTS.items if a.rule == "InstanceDead"),
                ),
                RuleView(
                    name="waggle:queries:rate5m",
                    kind=RuleKind.RECORDING,
                    query="sum(rate(waggle_queries_total[5m]))",
                    health=RuleHealth.ERROR,
                    last_error="many-to-many matching",
                    last_evaluation=NOW,
                ),
            ),
        ),
        GroupView(
            name="queries",
            file="queries.yaml",
            interval_s=15.0,
            rules=(RuleView(name="QueriesSlow", kind=RuleKind.ALERTING, query="waggle_p95 > 2", for_s=300.0),),
        ),
    ),
    reload=ReloadView(
        successful=False, faults=(FaultView(file="mine.yaml", line=7, reason="a rule needs an expression"),)
    ),
)
HISTORY: tuple[AlertChange | NotificationView, ...] = (
    AlertChange(
        at=NOW - timedelta(days=2),
        state="resolved",
        fingerprint=fingerprint(SLOW),
        labels=SLOW,
        starts_at=NOW - timedelta(days=2, minutes=5),
        ends_at=NOW - timedelta(days=2),
    ),
    AlertChange(
        at=NOW - timedelta(minutes=3),
        state="firing",
        fingerprint=fingerprint(DEAD),
        labels=DEAD,
        starts_at=NOW - timedelta(minutes=3),
    ),
    NotificationView(
        at=NOW - timedelta(minutes=2),
        channel="ops-mail",
        receiver="ops",
        group_labels={"alertname": "InstanceDead", "severity": "critical"},
        reason=SendReason.FIRST,
        outcome=SendOutcome.DELIVERED,
        attempts=1,
        firing=(fingerprint(DEAD),),
        detail="250 accepted",
    ),
)


def figure(name: str, layer: Layer, status: FigureStatus, **more: Any) -> FigureView:
    return FigureView(name=name, layer=layer, title=name.replace("_", " ").title(), status=status, at=NOW, **more)


FIGURES = FiguresView(
    items=(
        figure(
            "response_time_p95", Layer.APPLICATION, FigureStatus.WARNING, value=2.5, unit="s", warning=2.0, critical=5.0
        ),
        figure(
            "availability",
            Layer.SERVICE,
            FigureStatus.HEALTHY,
            value=0.9995,
            unit="1",
            bad=Direction.BELOW,
            warning=0.99,
        ),
        figure(
            "memory",
            Layer.INFRASTRUCTURE,
            FigureStatus.CRITICAL,
            labels={"host": "h1"},
            value=0.97,
            unit="1",
            warning=0.85,
            critical=0.95,
        ),
        figure("documents_ready", Layer.BUSINESS, FigureStatus.UNKNOWN, unit="{document}"),
    ),
    uptime=(
        UptimeView(component="embed", alive=1, expected=2, last_hour=0.95, last_day=None),
        UptimeView(component="gateway", alive=1, expected=1, last_hour=1.0, last_day=0.9999),
        UptimeView(component="keeper", alive=1, expected=0, last_hour=1.0, last_day=1.0),
    ),
)


LOST = Diagnosis(
    fingerprint=Subject(component="index").fingerprint(Cause.BACKEND_CONNECTION_LOST),
    cause=Cause.BACKEND_CONNECTION_LOST,
    subject=Subject(component="index"),
    summary="No instance of retrieve can use index.",
    confidence=0.88,
    evidence=(
        Evidence(
            what="check of the backend",
            source="waggle_backend_up",
            value=0.0,
            threshold=0.0,
            labels={"service": "retrieve", "instance": "retrieve-1", "backend": "index"},
            at=NOW,
        ),
    ),
    actions=(RecommendedAction.RESTART_SERVICE, RecommendedAction.FAILOVER),
    at=NOW,
)
FAILING = Diagnosis(
    fingerprint=Subject(component="retrieve").fingerprint(Cause.HIGH_ERROR_RATE),
    cause=Cause.HIGH_ERROR_RATE,
    subject=Subject(component="retrieve", service="retrieve"),
    summary="29 % of the questions fail at retrieve, mostly with retrieval_failed.",
    confidence=0.95,
    evidence=(Evidence(what="questions that fail", value=0.29, threshold=0.05, unit="1", at=NOW),),
    impacted_by=(LOST.fingerprint,),
    at=NOW,
)
DIAGNOSES = DiagnosesView(at=NOW, items=(LOST, FAILING))
EPISODES = DiagnosisHistoryView(
    items=(
        EpisodeView(began_at=NOW - timedelta(minutes=1), last_seen_at=NOW, diagnosis=LOST),
        EpisodeView(
            began_at=NOW - timedelta(days=2, minutes=3),
            last_seen_at=NOW - timedelta(days=2),
            ended_at=NOW - timedelta(days=2),
            diagnosis=FAILING,
        ),
    )
)


def component(name: str, status: HealthStatus, *, kind: ComponentKind = ComponentKind.BACKEND, **more: Any) -> Any:
    since = NOW - timedelta(minutes=5)
    return ComponentHealth(name=name, kind=kind, required=True, status=status, since=since, **more)


HEALTH = HealthView(
    status=HealthStatus.UNHEALTHY,
    since=NOW - timedelta(minutes=5),
    detail="unhealthy: index",
    at=NOW,
    components=(
        component(
            "retrieve",
            HealthStatus.DEGRADED,
            kind=ComponentKind.SERVICE,
            detail="1 of 2 are ready",
            needs=("index",),
            impacted_by=("index",),
            instances=(
                InstanceHealth(
                    service="retrieve",
                    instance="retrieve-2",
                    status=HealthStatus.UNHEALTHY,
                    detail="dead: it has missed three heartbeats",
                    since=NOW,
                ),
            ),
        ),
        component("index", HealthStatus.UNHEALTHY, latency_ms=5000.0, detail="fails for every retrieve"),
    ),
)
CHANGES = (
    HealthChange(
        at=NOW - timedelta(minutes=5),
        component="index",
        before=HealthStatus.HEALTHY,
        after=HealthStatus.UNHEALTHY,
    ),
    HealthChange(
        at=NOW - timedelta(minutes=5), component="", before=HealthStatus.HEALTHY, after=HealthStatus.UNHEALTHY
    ),
)
DEPENDENCIES = DependenciesView(
    items=(
        Dependency(component="embed", kind=ComponentKind.SERVICE, status=HealthStatus.HEALTHY, needs=("index",)),
        Dependency(
            component="index",
            kind=ComponentKind.BACKEND,
            status=HealthStatus.UNHEALTHY,
            needed_by=("embed", "retrieve"),
        ),
        Dependency(component="retrieve", kind=ComponentKind.SERVICE, status=HealthStatus.DEGRADED, needs=("index",)),
    )
)


METRICS = {"text": b"waggle_up 1\n", "json": b"[]"}


class Observer:
    """Answers with what is above, and questions about series from `series`, as a real observer does."""

    def __init__(self) -> None:
        self.series = SeriesStore(None, now_ms=lambda: int(1000 * time.time()))
        self.metadata: dict[str, MetricMetadata] = {}
        self.figures = FIGURES

    def add(self, name: str, values: Iterable[float], *, end: datetime, step_s: float = 15, **labels: str) -> None:
        """A series whose last sample is at `end`."""
        given, series = list(values), Labels({METRIC_NAME: name, **labels})
        for age, value in zip(range(len(given) - 1, -1, -1), given, strict=True):
            at_ms = round(1000 * (end.timestamp() - age * step_s))
            assert self.series.append(series, time_ms=at_ms, value=value)

    def handlers(self) -> dict[RequestKind, Handler]:
        api = QueryApi(self.series, metadata=self.metadata, now_ms=lambda: int(1000 * time.time()), version="1.2.3")
        return {
            **series_handlers(api, EvaluationThreads()),
            RequestKind.RULES: _view(lambda _: RULES),
            RequestKind.ALERTS: _view(self._alerts),
            RequestKind.HISTORY: _view(self._history),
            RequestKind.FIGURES: _view(lambda _: self.figures),
            RequestKind.DIAGNOSES: _view(self._diagnoses),
            RequestKind.HEALTH: _view(self._health),
            RequestKind.DEPENDENCIES: _view(lambda _: DEPENDENCIES),
            RequestKind.FLEET_METRICS: metrics_handler(METRICS.__getitem__, EvaluationThreads()),
        }

    def _diagnoses(self, parameters: Parameters) -> DiagnosesView | DiagnosisHistoryView:
        question = DiagnosisQuestion.of(parameters)
        if question.since is not None:
            since = question.since
            return DiagnosisHistoryView(items=tuple(e for e in EPISODES.items if (e.ended_at or NOW) >= since))
        return DIAGNOSES if question.at is None else DiagnosesView(at=question.at, items=(LOST,))

    def _health(self, parameters: Parameters) -> HealthView:
        since = HealthQuestion.of(parameters).since
        found = None if since is None else tuple(each for each in CHANGES if each.at >= since)
        return HEALTH.model_copy(update={"changes": found})

    def _alerts(self, parameters: Parameters) -> AlertsView:
        question = AlertQuestion.of(parameters)
        return AlertsView(items=tuple(filter(question.accepts, ALERTS.items)))

    def _history(self, parameters: Parameters) -> HistoryView:
        question = HistoryQuestion.of(parameters)
        found = [entry for entry in HISTORY if entry.kind == question.kind and question.since(NOW) <= entry.at]
        page = found[question.cursor : question.cursor + question.limit]
        following = question.cursor + len(page)
        return HistoryView(items=tuple(page), next=str(following) if following < len(found) else None)


@asynccontextmanager
async def leading(broker: Broker, observer: Observer) -> AsyncIterator[None]:
    """It answers during the body."""
    office = ObserverOffice(broker, observer.handlers(), instance="observer-1", meter=NoOpMeter("test"))
    answering = asyncio.create_task(office.run())
    await asyncio.sleep(0)
    await known_to_broker(broker)
    try:
        yield
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


def _view(show: Callable[[Parameters], Any]) -> Handler:
    async def handler(parameters: Parameters) -> Answer:
        return Answer.of(show(parameters))

    return handler

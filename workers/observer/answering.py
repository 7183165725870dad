"""What the observer that leads says of alerts, rules and their history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from contracts.alert_views import AlertChange, HistoryEntry, HistoryView, NotificationView
from contracts.alerts import AlertEvent, AlertState
from contracts.notifications import NotificationEvent
from contracts.observing import PROMETHEUS, SHAPE, ErrorType, Parameters, RequestKind
from messaging.alert_events import AlertEvents
from messaging.broker import Broker
from messaging.observing import Answer, Handler, ObserverOffice, RefusedError
from observability.alert_questions import AlertQuestion, HistoryKind, HistoryQuestion
from observability.alerting import AlertBoard, RuleBook
from observability.alerting.prometheus import alerts_data, rules_data
from observability.alerting.views import Showing
from observability.notifications import Inhibition, Silences
from observability.rules import AlertingRule, RecordingRule

if TYPE_CHECKING:
    from workers.observer.term import Duty
    from workers.observer.worker import Parts

Q = TypeVar("Q", AlertQuestion, HistoryQuestion)

_RULE_KINDS: Final[Mapping[str, type[AlertingRule | RecordingRule]]] = {"alert": AlertingRule, "record": RecordingRule}
_TRUE: Final = frozenset({"1", "t", "true"})
_FALSE: Final = frozenset({"", "0", "f", "false"})


def answering(parts: Parts) -> Duty:
    """Answer questions about alerts and rules, diagnoses and repairs, and those that the intake answers: about series and figures."""
    answers = AlertAnswers(
        parts.app.broker,
        board=parts.board,
        book=parts.rules.book,
        silences=parts.silences,
        interval_ms=int(parts.settings.rule_interval_s * 1000),
        inhibition=parts.announcer.inhibition,
    )
    handlers = {
        **answers.handlers(),
        **parts.diagnoses.handlers(),
        **parts.recovery.handlers(),
        **parts.intake.handlers(),
    }
    office = ObserverOffice(parts.app.broker, handlers, instance=parts.settings.instance, meter=parts.app.meter)
    return lambda _: office.run()


class AlertAnswers:
    """Answers questions of the kinds rules, alerts and history."""

    def __init__(
        self,
        broker: Broker,
        *,
        board: AlertBoard,
        book: RuleBook,
        silences: Silences,
        interval_ms: int,
        inhibition: Callable[[], Inhibition],
    ) -> None:
        self._clock = broker.clock
        self._events = AlertEvents(broker)
        self._board = board
        self._book = book
        self._showing = Showing(board, silences, inhibition=inhibition)
        self._interval_ms = interval_ms

    def handlers(self) -> dict[RequestKind, Handler]:
        return {RequestKind.RULES: self._rules, RequestKind.ALERTS: self._alerts, RequestKind.HISTORY: self._history}

    async def _alerts(self, parameters: Parameters) -> Answer:
        if _is_for_prometheus(parameters):
            return _success(alerts_data(self._board))
        question = _read(AlertQuestion.of, parameters)
        return Answer.of(self._showing.alerts(question, self._clock.now()))

    async def _rules(self, parameters: Parameters) -> Answer:
        if _is_for_prometheus(parameters):
            return _success(self._prometheus_rules(parameters))
        return Answer.of(self._showing.rules(self._book, self._clock.now(), interval_ms=self._interval_ms))

    def _prometheus_rules(self, parameters: Parameters) -> dict[str, object]:
        if parameters.get("match[]"):
            raise _bad("match[]", "is not taken here: choose by rule_name[], rule_group[] or file[]")
        kind = _one("type", parameters)
        if kind and kind not in _RULE_KINDS:
            raise _bad("type", f"{kind!r} is neither alert nor record")
        bare = _one("exclude_alerts", parameters).lower()
        if bare not in _TRUE | _FALSE:
            raise _bad("exclude_alerts", f"{bare!r} is neither true nor false")
        return rules_data(
            self._board,
            default_interval_ms=self._interval_ms,
            kind=_RULE_KINDS.get(kind),
            names=_all("rule_name[]", parameters),
            groups=_all("rule_group[]", parameters),
            files=_all("file[]", parameters),
            with_alerts=bare not in _TRUE,
        )

    async def _history(self, parameters: Parameters) -> Answer:
        question = _read(HistoryQuestion.of, parameters)
        since = question.since(self._clock.now())
        items: tuple[HistoryEntry, ...]
        if question.kind is HistoryKind.ALERT:
            alerts = await self._events.alerts(
                since=since,
                until=question.end,
                after=question.cursor,
                severities=question.severities,
                matchers=question.matchers,
                limit=question.limit,
            )
            items, following = tuple(map(change_of, alerts.events)), alerts.after
        else:
            sent = await self._events.notifications(
                since=since,
                until=question.end,
                after=question.cursor,
                channel=question.channel,
                fingerprint=question.fingerprint,
                limit=question.limit,
            )
            items, following = tuple(map(notification_of, sent.events)), sent.after
        return Answer.of(HistoryView(items=items, next=None if following is None else str(following)))


def change_of(event: AlertEvent) -> AlertChange:
    """An event of an alert as it is shown."""
    return AlertChange(
        at=event.ends_at or event.starts_at,
        state="resolved" if event.state is AlertState.RESOLVED else "firing",
        fingerprint=event.fingerprint,
        labels=event.labels,
        annotations=event.annotations,
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        value=event.value,
    )


def notification_of(event: NotificationEvent) -> NotificationView:
    """An event of a notification as it is shown."""
    return NotificationView(
        at=event.created_at,
        channel=event.channel,
        receiver=event.receiver,
        group_labels=event.group_labels,
        reason=event.reason,
        outcome=event.outcome,
        attempts=event.attempts,
        firing=event.firing,
        resolved=event.resolved,
        detail=event.detail,
    )


def _read(question_of: Callable[[Parameters], Q], parameters: Parameters) -> Q:
    try:
        return question_of(parameters)
    except ValueError as error:
        raise RefusedError(ErrorType.BAD_DATA, str(error)) from error


def _success(data: Mapping[str, object]) -> Answer:
    return Answer.document({"status": "success", "data": data})


def _is_for_prometheus(parameters: Parameters) -> bool:
    return _one(SHAPE, parameters) == PROMETHEUS


def _one(name: str, parameters: Parameters) -> str:
    return next(iter(parameters.get(name, ())), "")


def _all(name: str, parameters: Parameters) -> Collection[str]:
    return frozenset(parameters.get(name, ()))


def _bad(name: str, reason: str) -> RefusedError:
    return RefusedError(ErrorType.BAD_DATA, f'invalid parameter "{name}": {reason}')

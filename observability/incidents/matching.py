"""Which alerts are of which subject: told by their labels, of which one at least has to agree and none may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.alerts import NO_SEVERITY, AlertEvent
from contracts.diagnoses import Subject
from contracts.recovery import Target, TargetKind

_CONSUMER: Final = ("consumer", "messaging_consumer_group_name")
UNTOLD: Final = frozenset({NO_SEVERITY, "info"})
"""Severities of alerts that say that something is so, and not that it is wrong."""
_OF_A_SUBJECT: Final = frozenset({"service", "instance", "backend", "host", *_CONSUMER})


def is_of(alert: AlertEvent, subjects: Iterable[Subject]) -> bool:
    """Whether an alert is of one of the subjects. One that names nothing is of the whole system, and so of each."""
    if alert.severity in UNTOLD:
        return False
    return is_of_all(alert) or any(_agrees(alert.labels, subject) for subject in subjects)


def is_of_all(alert: AlertEvent) -> bool:
    """Whether it names nothing that it is about."""
    return not _OF_A_SUBJECT & alert.labels.keys()


def subject_of(target: Target) -> Subject:
    """What an action is done to, as diagnoses name it."""
    if target.kind is TargetKind.BACKEND:
        return Subject(component=target.name, service=target.service)
    instance = target.name if target.kind is TargetKind.INSTANCE else ""
    return Subject(component=target.service, service=target.service, instance=instance)


def described(subject: Subject) -> str:
    """In words: `embed embed-1`."""
    further = (subject.instance, subject.consumer, subject.host, subject.release)
    return " ".join(dict.fromkeys(filter(None, (subject.component, *further))))


def _agrees(labels: Mapping[str, str], subject: Subject) -> bool:
    backend = labels.get("backend", "")
    service = _known(subject.service) if backend else _known(subject.service, subject.component)
    consumer = next((labels[name] for name in _CONSUMER if name in labels), "")
    compared = (
        (labels.get("service", ""), service),
        (labels.get("instance", ""), _known(subject.instance)),
        (backend, _known(subject.component)),
        (consumer, _known(subject.consumer)),
        (labels.get("host", ""), _known(subject.host)),
    )
    told = [(label, known) for label, known in compared if label and known]
    return bool(told) and all(label in known for label, known in told)


def _known(*names: str) -> set[str]:
    return {name for name in names if name}

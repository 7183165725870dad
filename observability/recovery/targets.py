"""What an action is done to: always something that the diagnosis names, or nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from contracts.diagnoses import Diagnosis, RecommendedAction, Subject
from contracts.health import ProcessState
from contracts.identifiers import TOKEN
from contracts.platforms import InstanceState
from contracts.recovery import TARGET_OF, Target, TargetKind
from observability.recovery.platform_watch import is_starting, left_to_platform
from observability.recovery.policy import Limits
from observability.recovery.situation import InstanceFacts, Situation

RUNTIME: Final = "runtime"
OUT_OF_REACH: Final = frozenset({"broker", "operator"})
"""What acts, and what carries orders, is not acted upon."""
AS_TOLD: Final = frozenset({ProcessState.DRAINING, ProcessState.PAUSED})
"""Somebody has told the instance to take no work."""


def targets_of(
    action: RecommendedAction, diagnosis: Diagnosis, situation: Situation, limits: Limits, now: datetime
) -> list[Target]:
    """The targets that come into question, the first one first; none where the diagnosis names none."""
    subject, kind = diagnosis.subject, TARGET_OF.get(action)
    service = subject.service or subject.component
    if service in OUT_OF_REACH or subject.component in OUT_OF_REACH or TOKEN.fullmatch(service) is None:
        return []
    if kind is TargetKind.INSTANCE:
        return [
            Target(kind=kind, name=name, service=service)
            for name in _instances(subject, situation, limits, now)
            if TOKEN.fullmatch(name)
        ]
    if kind is TargetKind.SERVICE:
        known = subject.service and subject.service in situation.services
        return [Target(kind=kind, name=service, service=service)] if known else []
    if kind is TargetKind.BACKEND:
        backend = situation.backends.get(subject.component)
        return [] if backend is None else [Target(kind=kind, name=subject.component, service=backend.service)]
    return [Target(kind=TargetKind.CONFIG, name=RUNTIME, service=service)] if kind is TargetKind.CONFIG else []


def _instances(subject: Subject, situation: Situation, limits: Limits, now: datetime) -> list[str]:
    """The one that is named, whatever it does; of a service those that do not work."""
    if subject.instance:
        named = situation.instance(subject.instance)
        return [] if named is None or named.service != subject.service else [named.instance]
    return [each.instance for each in situation.of(subject.service) if needs_restart(each, limits, now)]


def needs_restart(instance: InstanceFacts, limits: Limits, now: datetime) -> bool:
    """Whether it is silent, hung or in a crash loop, and neither somebody else's turn nor still starting."""
    if left_to_platform(instance, limits, now) is not None or is_starting(instance, limits, now):
        return False
    if instance.state in AS_TOLD:
        return False
    return (
        instance.silent
        or instance.is_hung
        or instance.run is InstanceState.FAILED
        or instance.restarts >= limits.crash_loop
    )

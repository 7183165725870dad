"""Whose turn it is: what exits is started again by the platform, and what only hangs is not."""

from __future__ import annotations

from datetime import datetime

from contracts.diagnoses import Subject
from contracts.health import ProcessState
from contracts.platforms import InstanceState
from observability.recovery.policy import Limits
from observability.recovery.situation import InstanceFacts, Situation


def left_to_platform(instance: InstanceFacts, limits: Limits, now: datetime) -> tuple[str, datetime | None] | None:
    """Why a silent instance is not ours to start, and until when; None: it is."""
    if not instance.silent or instance.run is InstanceState.FAILED:
        return None
    if instance.platform_silent:  # it may be starting it this moment, and could not be told to do so either
        return f"the platform does not say how {instance.instance} is", None
    if instance.run is InstanceState.STOPPED or instance.run is InstanceState.STOPPING:
        return f"{instance.instance} was stopped on purpose", None
    if instance.run is InstanceState.RESTARTING:
        return f"{instance.instance} ended, and the platform starts it again", None
    since = instance.run_since
    if since is not None and since > instance.heard_at:
        until, why = since + limits.starting_patience, "was started again by the platform, and has not been heard yet"
    elif instance.run is None:
        until, why = instance.heard_at + limits.platform_patience, "may be started again by the platform"
    else:
        return None
    return (f"{instance.instance} {why}", until) if now < until else None


def is_starting(instance: InstanceFacts, limits: Limits, now: datetime) -> bool:
    """Within the time that it may take for that."""
    return instance.state is ProcessState.STARTING and now < instance.started_at + limits.starting_patience


def missing(subject: Subject, situation: Situation) -> list[InstanceFacts]:
    """The silent instances that a subject is about, by name."""
    if subject.instance:
        named = situation.instance(subject.instance)
        return [] if named is None or not named.silent else [named]
    return [each for each in situation.of(subject.service or subject.component) if each.silent]

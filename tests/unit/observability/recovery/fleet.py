"""A small fleet to decide about: two of each service, all well, and what may be wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, Evidence, RecommendedAction, Subject
from contracts.health import ProcessState
from contracts.incidents import incident_id
from contracts.platforms import InstanceState
from contracts.recovery import (
    CommandOutcome,
    Mode,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Target,
    Verdict,
    Verified,
)
from observability.recovery import (
    BackendFacts,
    ConfigFacts,
    Decider,
    Episode,
    InstanceFacts,
    Past,
    Policy,
    Rung,
    ServiceFacts,
    Situation,
)
from observability.recovery.past import command_id
from observability.recovery.safeguards import SafeguardCheck, standard_safeguards

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=5)
SERVICES = ("embed", "gateway", "generate", "ingest", "retrieve")


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def instance(service: str = "ingest", number: int = 1, **changes: Any) -> InstanceFacts:
    facts = InstanceFacts(
        service=service,
        instance=f"{service}-{number}",
        silent=False,
        state=ProcessState.READY,
        heard_at=NOW - s(1),
        started_at=LONG_AGO,
        version="1.0.0",
        run=InstanceState.RUNNING,
        run_since=LONG_AGO,
    )
    return replace(facts, **changes)


def silent(service: str = "ingest", number: int = 1, **changes: Any) -> InstanceFacts:
    """Alive for the platform, and not heard for half a minute."""
    return instance(service, number, **{"silent": True, "heard_at": NOW - s(30), **changes})


def hung(service: str = "ingest", number: int = 1) -> InstanceFacts:
    return instance(service, number, progresses=False, waiting=10)


def situation(*others: InstanceFacts, **changes: Any) -> Situation:
    """The fleet, with some of its instances replaced, or more of them."""
    well = {each.instance: each for name in SERVICES for each in (instance(name, 1), instance(name, 2))}
    instances = well | {each.instance: each for each in others}
    facts: dict[str, Any] = {
        "connected": True,
        "hears": True,
        "instances": tuple(instances.values()),
        "services": {name: ServiceFacts(running=2, possible=4, has_cache=name == "retrieve") for name in SERVICES},
        "backends": {"llm": BackendFacts(service="generate", standby_available=True, standby_active=False)},
        "seen_since": dict.fromkeys(Cause, LONG_AGO),
        "config": ConfigFacts(current=7, previous=6, changed_at=NOW - s(120)),
    }
    return Situation(**{**facts, **changes})


def evidence(*, at: datetime = NOW, instance: str = "", service: str = "", threshold: float = 0) -> Evidence:
    labels = {"service": service, "instance": instance} if instance else {}
    return Evidence(what="something", source="up", value=1, threshold=threshold, labels=labels, at=at)


def diagnosis(cause: Cause, subject: Subject, **changes: Any) -> Diagnosis:
    facts: dict[str, Any] = {
        "fingerprint": subject.fingerprint(cause),
        "cause": cause,
        "subject": subject,
        "summary": f"{cause.value} at {subject.component}.",
        "confidence": 0.9,
        "evidence": (evidence(at=NOW - s(2)),),
        "at": NOW,
    }
    return Diagnosis(**{**facts, **changes})


def of_service(cause: Cause, service: str = "ingest", instance: str = "", **changes: Any) -> Diagnosis:
    return diagnosis(cause, Subject(component=service, service=service, instance=instance), **changes)


def unavailable(service: str = "ingest", number: int = 1, **changes: Any) -> Diagnosis:
    return of_service(Cause.SERVICE_UNAVAILABLE, service, f"{service}-{number}", **changes)


def backend_lost(backend: str = "llm", service: str = "generate", witnesses: int = 2, **changes: Any) -> Diagnosis:
    told = tuple(evidence(at=NOW, service=service, instance=f"{service}-{n + 1}") for n in range(witnesses))
    subject = Subject(component=backend, service=service)
    return diagnosis(Cause.BACKEND_CONNECTION_LOST, subject, **{"evidence": told, **changes})


def view(*items: Diagnosis, at: datetime = NOW, unjudged: Sequence[Cause] = ()) -> DiagnosesView:
    return DiagnosesView(at=at, items=items, unjudged=tuple(unjudged))


def policy(cause: Cause, *rungs: Rung, **limits: Any) -> Policy:
    return Policy.model_validate({"limits": limits, "ladders": {cause: rungs}})


def rung(action: RecommendedAction, mode: Mode = Mode.AUTO, **changes: Any) -> Rung:
    return Rung(action=action, mode=mode, **changes)


def past(*events: Any) -> Past:
    found = Past()
    for event in events:
        found.take(event)
    return found


def incident_of(found: Diagnosis, began_at: datetime = NOW) -> str:
    return incident_id(found.fingerprint, began_at)


def episodes(found: Diagnosis, *, began_at: datetime, last_seen_at: datetime | None = None) -> dict[str, Episode]:
    return {found.fingerprint: Episode(began_at=began_at, last_seen_at=last_seen_at or began_at)}


def acted(
    target: Target,
    action: RecommendedAction = RecommendedAction.RESTART_SERVICE,
    *,
    ago: float,
    incident: str | None = None,
    cause: Cause = Cause.SERVICE_UNAVAILABLE,
    rung: int = 0,
) -> RecoveryDecision:
    """A decision to act, some seconds ago."""
    return RecoveryDecision(
        id=f"decision-{target.key}-{action.value}-{ago:g}",
        incident=incident or f"incident-{target.key}-{ago:g}",
        fingerprint="0123456789abcdef",
        cause=cause,
        summary="It was wrong.",
        confidence=0.9,
        action=action,
        rung=rung,
        target=target,
        mode=Mode.AUTO,
        verdict=Verdict.ACT,
        why="It had to be.",
        evidence=(evidence(at=NOW - s(ago)),),
        token=1,
        created_at=NOW - s(ago),
    )


def result(
    decision: RecoveryDecision, outcome: CommandOutcome = CommandOutcome.DONE, *, after: float = 1
) -> RecoveryResult:
    assert decision.target is not None
    return RecoveryResult(
        id=command_id(decision.id),
        decision=decision.id,
        incident=decision.incident,
        action=decision.action,
        target=decision.target,
        outcome=outcome,
        detail="as ordered",
        began_at=decision.created_at,
        token=decision.token,
        created_at=decision.created_at + s(after),
    )


def verified(
    decision: RecoveryDecision, how: Verified = Verified.NOT_RECOVERED, *, at: datetime = NOW
) -> RecoveryVerification:
    return RecoveryVerification(
        id=f"verification-{decision.id}-{how.value}",
        incident=decision.incident,
        command=command_id(decision.id),
        cause=decision.cause,
        fingerprint=decision.fingerprint,
        verified=how,
        detail="as seen",
        token=1,
        created_at=at,
    )


@dataclass(frozen=True)
class Decided:
    """What was decided, read off in tests."""

    decisions: list[RecoveryDecision]

    @property
    def acts(self) -> list[tuple[RecommendedAction, str]]:
        return [
            (each.action, each.target.name)
            for each in self.decisions
            if each.verdict is Verdict.ACT and each.target is not None
        ]

    @property
    def verdicts(self) -> list[tuple[RecommendedAction, Verdict]]:
        return [(each.action, each.verdict) for each in self.decisions]

    @property
    def only(self) -> RecoveryDecision:
        (decision,) = self.decisions
        return decision


def decide(
    policy: Policy,
    items: Iterable[Diagnosis],
    there: Situation,
    before: Past | None = None,
    *,
    without: type[SafeguardCheck] | None = None,
    at: datetime = NOW,
) -> Decided:
    """All safeguards are asked, but for the one that a test goes `without`."""
    asked = [each for each in standard_safeguards(policy.limits) if without is None or type(each) is not without]
    found = Decider(policy, asked).decide(view(*items, at=at), there, before or Past(), now=at, token=3)
    return Decided(found)

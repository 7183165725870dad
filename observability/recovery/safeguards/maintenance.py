"""Somebody who has silenced a part of the fleet is at work there."""

from __future__ import annotations

from contracts.recovery import Safeguard
from observability.notifications.matchers import Matchers
from observability.recovery.past import Past
from observability.recovery.proposal import Objection, Proposal
from observability.recovery.situation import Situation


class Maintenance:
    """A silence covers an action whose target it names: by `service`, `component`, `instance`, `host`, `consumer`. One of a
    single alert (`alertname="..."`) covers nothing.
    """

    def check(self, proposal: Proposal, situation: Situation, past: Past) -> Objection | None:
        labels = _labels(proposal)
        covering = [
            silence
            for silence in situation.silences
            if silence.starts_at <= proposal.now < silence.ends_at and Matchers(silence.matchers).accept(labels)
        ]
        if not covering:
            return None
        last = max(covering, key=lambda silence: (silence.ends_at, silence.id))
        why = f"silence {last.id} covers {proposal.target.name}: somebody is at work there"
        return Objection(safeguard=Safeguard.MAINTENANCE, why=why, until=last.ends_at)


def _labels(proposal: Proposal) -> dict[str, str]:
    subject, target = proposal.case.diagnosis.subject, proposal.target
    return {
        "alertname": proposal.case.cause.value,
        "component": subject.component,
        "service": target.service,
        "instance": target.name if target.kind.value == "instance" else subject.instance,
        "host": subject.host,
        "consumer": subject.consumer,
    }

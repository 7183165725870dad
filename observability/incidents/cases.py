"""Which events belong to the same incident."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from contracts.alerts import AlertEvent
from contracts.diagnoses import EpisodeView
from contracts.incidents import incident_id
from observability.incidents.case import ALWAYS, Case, Span
from observability.incidents.matching import is_of
from observability.incidents.material import Facts
from observability.incidents.ownership import Stretch, owners
from observability.incidents.standing import ended_at

SLACK: Final = timedelta(minutes=1)
"""An episode is told as over after a minute without its cause, and what is decided about it may come by then."""
LEAD: Final = timedelta(minutes=10)
"""An alert may begin so long before its cause is found, and still be of it."""


def cases(facts: Facts) -> list[Case]:
    """The cases that have a cause, by when they began; `take_alerts` adds their alerts."""
    found = _recorded(facts)
    _take_episodes(found, [each for each in facts.episodes if each.diagnosis.is_root])
    _take_consequences(found, [each for each in facts.episodes if not each.diagnosis.is_root])
    return sorted((case for case in found.values() if case.named), key=lambda case: (case.span[0], case.id))


def neighbours(of: Case, known: Iterable[Case]) -> list[Case]:
    """The case itself, and those that an alert of it could be of as well."""
    began, ended = of.span
    around = began - LEAD, _slackened(ended, LEAD + SLACK)
    return [case for case in known if case.span[0] <= around[1] and _slackened(case.span[1]) >= around[0]]


def take_alerts(known: Iterable[Case], alerts: Sequence[AlertEvent]) -> None:
    """An alert is of every case that it fits, unless one that comes before or after has it for its own.

    So all cases have to be known that are told of, even for the alerts of one.
    """
    by_start = sorted(alerts, key=lambda alert: alert.starts_at)
    ends = {(each.fingerprint, each.starts_at): each.created_at for each in alerts if not each.is_firing}
    fitting = defaultdict[int, list[Stretch]](list)
    for case in known:
        subjects, stretch, (began, ended) = case.subjects, Stretch.of(case), case.span
        first = bisect_left(by_start, began - LEAD, key=lambda alert: alert.starts_at)
        last = bisect_right(by_start, _slackened(ended), key=lambda alert: alert.starts_at)
        for place in range(first, last):
            alert = by_start[place]
            was_over = ends.get((alert.fingerprint, alert.starts_at), ALWAYS) < began - SLACK
            if not was_over and is_of(alert, subjects):
                fitting[place].append(stretch)
    for place in sorted(fitting):
        alert = by_start[place]
        end = ends.get((alert.fingerprint, alert.starts_at), ALWAYS)
        for stretch in owners(fitting[place], starts=alert.starts_at, ends=end):
            stretch.case.take(alert)


def _recorded(facts: Facts) -> dict[str, Case]:
    found: dict[str, Case] = {}

    def case(incident: str) -> Case:
        return found.setdefault(incident, Case(incident))

    for decision in facts.decisions:
        case(decision.incident).decisions.append(decision)
    for command in facts.commands:
        case(command.incident).commands.append(command)
    for result in facts.results:
        case(result.incident).results.append(result)
    for verification in facts.verifications:
        case(verification.incident).verifications.append(verification)
    for approval in facts.approvals:
        asked = facts.by_decision.get(approval.decision)
        incident = approval.incident or (asked.incident if asked else None)
        if incident is not None:
            case(incident).approvals.append(approval)
    return found


def _take_episodes(found: dict[str, Case], episodes: Iterable[EpisodeView]) -> None:
    """An episode is of the case that has its id, else of the first of its cause that goes on at the same time, else a case."""
    others = []
    for episode in episodes:
        own = found.get(_id(episode))
        if own is not None:
            own.episodes.append(episode)
        else:
            others.append(episode)
    recorded = _by_fingerprint(found.values())
    for episode in others:
        same = [case for case in recorded[episode.diagnosis.fingerprint] if _goes_on_in(case, episode)]
        case = next(iter(same), None) or found.setdefault(_id(episode), Case(_id(episode)))
        case.episodes.append(episode)


def _take_consequences(found: dict[str, Case], episodes: Iterable[EpisodeView]) -> None:
    """A consequence is of every case that it comes from, and told where it began; one whose root was not read is a case."""
    roots = {
        fingerprint: [(Stretch.of(case), case.span) for case in of]
        for fingerprint, of in _by_fingerprint(found.values()).items()
    }
    for episode in episodes:
        of = [
            stretch
            for fingerprint in episode.diagnosis.impacted_by
            for stretch, span in roots.get(fingerprint, ())
            if _overlaps(episode, span)
        ]
        ends = episode.ended_at or ALWAYS
        told = {stretch.case.id: stretch.case for stretch in owners(of, starts=episode.began_at, ends=ends)}
        for case in told.values():
            case.consequences.append(episode)
        for stretch in of:
            if stretch.case.id not in told and stretch.began <= ends and episode.began_at <= stretch.over:
                stretch.case.affected.append(episode.diagnosis.subject)
        if not of:
            found.setdefault(_id(episode), Case(_id(episode))).episodes.append(episode)


def _id(episode: EpisodeView) -> str:
    return incident_id(episode.diagnosis.fingerprint, episode.began_at)


def _by_fingerprint(found: Iterable[Case]) -> defaultdict[str, list[Case]]:
    """The cases of each cause, by when they began."""
    grouped = defaultdict[str, list[Case]](list)
    for case in found:
        if case.named is not None:
            grouped[case.named[0]].append(case)
    for cases_of in grouped.values():
        cases_of.sort(key=lambda case: (case.span, case.id))
    return grouped


def _goes_on_in(case: Case, episode: EpisodeView) -> bool:
    """Whether an episode that has no case by its id is of this one, which may know its end or have an episode of its own."""
    over = ended_at(case)
    if over is not None and episode.began_at > over:
        return False
    return _overlaps(episode, case.span, slack=timedelta() if case.episodes else SLACK)


def _overlaps(episode: EpisodeView, span: Span, *, slack: timedelta = SLACK) -> bool:
    began, ended = span
    over = episode.ended_at
    return episode.began_at <= _slackened(ended, slack) and (over is None or over >= began - slack)


def _slackened(ended: datetime, slack: timedelta = SLACK) -> datetime:
    return ended if ended == ALWAYS else ended + slack

"""How often the observer does what it does by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from contracts.metrics import METRICS_INTERVAL_S
from messaging.watching import POLL_S
from observability.notifications.pipeline import SETTLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """`warm_up_s`: how long after its start an observer evaluates nothing yet; by then every process has told all that it
    tells. `look_s`: between looks at files of rules and notifications. `poll_s`: between readings of buckets that are watched.
    `remind_s`: between tellings of all that fires, so that nothing that was missed once is missed for good. `sweep_s`:
    between removals of silences that are long over. `candidacy_s`: how often who does not lead tries to; a sixth of the
    lease's time at most. `diagnose_s`: between looks for causes. `settle`: how long after a take-over nobody is told anything yet.
    """

    warm_up_s: float = METRICS_INTERVAL_S + 2.0
    look_s: float = 5.0
    poll_s: float = POLL_S
    remind_s: float = 60.0
    sweep_s: float = 3600.0
    candidacy_s: float = 5.0
    diagnose_s: float = 3.0
    settle: timedelta = SETTLE

"""The times of a run: scaled down so that a kill costs seconds, or as in production."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from contracts.topology import Topology
from workers.keeper.reconciliation.finding import Rhythm

PRODUCTION_VARIABLE = "WAGGLE_TEST_PRODUCTION_TIMES"
SCALED_ACK_WAIT_S = 3.0
SCALED_KEPT_S = 2.0
SCALED_WATCH_S = 1.0
SCALED_RENEWED_S = 5.0
SETTLE_S = 60.0
SCALED_RHYTHM = Rhythm(
    pause_s=1.0, index_pause_s=3.0, uploads_pause_s=3.0, settled_s=5.0, orphaned_s=10.0, confirm_s=0.5
)
"""Of the reconciler."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """None: what production has. `kept_s` is how long rows of superseded generations stay, `renewed_s` how long the index
    stays open.
    """

    ack_wait_s: float | None = SCALED_ACK_WAIT_S
    kept_s: float | None = SCALED_KEPT_S
    watch_s: float | None = SCALED_WATCH_S
    renewed_s: float | None = SCALED_RENEWED_S
    rhythm: Rhythm = SCALED_RHYTHM

    @property
    def as_in_production(self) -> bool:
        return self.ack_wait_s is None

    @property
    def table(self) -> Topology:
        consumers = tuple(replace(c, ack_wait_s=self.ack_wait_s or c.ack_wait_s) for c in Topology().consumers)
        return Topology(consumers=consumers)

    @property
    def longest_ack_wait_s(self) -> float:
        return max(consumer.ack_wait_s for consumer in self.table.consumers)

    @property
    def settle_s(self) -> float:
        """How long everything may take to come to rest after the last fault; what has not by then never does."""
        return SETTLE_S + 4 * self.longest_ack_wait_s

    @property
    def environment(self) -> Mapping[str, str]:
        return {} if self.ack_wait_s else {PRODUCTION_VARIABLE: "1"}

    @classmethod
    def from_environment(cls) -> Scale:
        return PRODUCTION if PRODUCTION_VARIABLE in os.environ else SCALED


SCALED = Scale()
PRODUCTION = Scale(ack_wait_s=None, kept_s=SCALED_KEPT_S, watch_s=None, renewed_s=None, rhythm=Rhythm())
"""Rows of superseded generations still go soon: a campaign cannot wait five minutes for each."""

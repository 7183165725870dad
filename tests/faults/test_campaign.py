"""A short campaign: a seeded sample of everything that `make faults` breaks."""

from __future__ import annotations

import pytest

from tests.faults.row import Row, Trial
from tests.faults.rows.broker import BrokerKills
from tests.faults.rows.kills import Kills
from tests.faults.rows.poison import RaisingPoison
from tests.faults.rows.races import Overtaking
from tests.faults.rows.repeats import Twice
from tests.faults.rows.signals import Sigterm

pytestmark = pytest.mark.alone

TRIAL = Trial(seed=1, runs=8)
SAMPLE: tuple[type[Row], ...] = (Kills, Sigterm, BrokerKills, Twice, RaisingPoison, Overtaking)


@pytest.mark.parametrize("kind", SAMPLE, ids=lambda kind: kind.name)
async def test_nothing_is_lost_doubled_or_stuck(kind: type[Row]) -> None:
    row = kind()
    outcome = await row.run(TRIAL)
    assert row.passed(outcome), (
        f"{row.passes}: {outcome.problems} {outcome.verdict.evidence} {outcome.verdict.failures}"
    )

"""A short campaign: a sample of what `make campaign` breaks, on one stack."""

from __future__ import annotations

import pytest

from tests.healing.campaign import Trial, drawn, run
from tests.healing.fault import Fault
from tests.healing.faults.blindness import HeartbeatsDropped
from tests.healing.faults.load import SlowBurst
from tests.healing.faults.processes import Frozen, Killed, NeverReturns

pytestmark = pytest.mark.alone

SEED = 1
SAMPLE: tuple[type[Fault], ...] = (NeverReturns, Killed, Frozen, HeartbeatsDropped, SlowBurst)


async def test_what_breaks_is_repaired_and_nothing_else_is_touched() -> None:
    lines = await run(drawn(SAMPLE, seed=SEED, runs=len(SAMPLE)), Trial(seed=SEED))

    assert [line.fault.name for line in lines if not line.passed] == [], [
        (line.fault.name, line.problems, line.decisions) for line in lines
    ]

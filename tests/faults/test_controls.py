"""The harness sees what it is there to see: without its safeguard each fault bites."""

from __future__ import annotations

import pytest

from tests.faults.row import Row, Trial
from tests.faults.rows.controls import AckFirst, NoKeeper, NoPurge, NoVisibilityCheck, RandomIds

SAMPLE: tuple[type[Row], ...] = (AckFirst, RandomIds, NoVisibilityCheck, NoPurge, NoKeeper)


@pytest.mark.parametrize("kind", SAMPLE, ids=lambda kind: kind.name)
async def test_without_its_safeguard_the_fault_is_seen(kind: type[Row]) -> None:
    control = kind()
    outcome = await control.run(Trial(seed=1))
    assert control.passed(outcome), f"{control.passes}: {outcome.problems} {outcome.verdict}"

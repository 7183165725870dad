"""Which faults a campaign runs, and which of them share a stack."""

from __future__ import annotations

from tests.healing.campaign import MOST_TOGETHER, drawn, together
from tests.healing.faults import FAULTS
from tests.healing.faults.settings import BadRevision


def test_the_same_seed_draws_the_same_faults() -> None:
    assert drawn(FAULTS, seed=7, runs=30) == drawn(FAULTS, seed=7, runs=30)
    assert drawn(FAULTS, seed=7, runs=30) != drawn(FAULTS, seed=8, runs=30)


def test_every_fault_comes_before_any_comes_again() -> None:
    assert set(drawn(FAULTS, seed=3, runs=len(FAULTS))) == set(FAULTS)


def test_what_leaves_something_behind_has_a_stack_of_its_own() -> None:
    groups = together(drawn(FAULTS, seed=3, runs=2 * len(FAULTS)))

    assert all(group == [BadRevision] for group in groups if BadRevision in group)
    assert all(len(group) <= MOST_TOGETHER and len(set(group)) == len(group) for group in groups)
    assert sum(map(len, groups)) == 2 * len(FAULTS)


def test_nothing_follows_what_makes_everybody_silent() -> None:
    groups = together(drawn(FAULTS, seed=3, runs=2 * len(FAULTS)))

    assert not any(fault.clouds for group in groups for fault in group[:-1])

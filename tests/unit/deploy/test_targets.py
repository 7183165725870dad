"""Which names may be acted upon, and in which numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.platform_errors import NotATargetError, OutOfBoundsError, UnknownTargetError
from contracts.platforms import Instance, InstanceState
from deploy.platforms.slots import at_work, plan
from deploy.platforms.targets import require_known, require_within

KNOWN = ("embed-1", "embed-2", "retrieve-1")


@pytest.mark.parametrize("target", ["", " ", "*", "embed-*", "embed-1\n", "embed-1,embed-2", "a/b", "x" * 129, "嵌入"])
def test_what_is_not_one_name_is_no_target(target: str) -> None:
    with pytest.raises(NotATargetError, match="Nothing was changed"):
        require_known(target, {*KNOWN, target}, what="instance")


def test_a_name_that_is_known_is_a_target() -> None:
    require_known("embed-1", KNOWN, what="instance", never={"nats"})


def test_what_nobody_may_touch_is_no_target_though_it_is_known() -> None:
    with pytest.raises(NotATargetError, match="waggle down"):
        require_known("nats", (*KNOWN, "nats"), what="instance", never={"nats"})


def test_an_unknown_name_is_told_with_those_that_are_near() -> None:
    with pytest.raises(UnknownTargetError, match="Did you mean retrieve-1") as refused:
        require_known("retreive-1", KNOWN, what="instance")
    assert refused.value.nearest == ("retrieve-1",)


def test_a_name_that_is_near_to_none_is_told_with_all() -> None:
    with pytest.raises(UnknownTargetError, match="There are: embed-1, embed-2, retrieve-1"):
        require_known("queen", KNOWN, what="instance")


def test_only_names_that_are_offered_are_told_unless_none_is() -> None:
    with pytest.raises(UnknownTargetError, match=r"Did you mean embed-1\?") as refused:
        require_known("embed-7", KNOWN, what="instance", offered=["embed-1", "retrieve-1"])
    assert refused.value.nearest == ("embed-1",)
    with pytest.raises(UnknownTargetError, match="There are: embed-1, embed-2, retrieve-1"):
        require_known("queen", KNOWN, what="instance", offered=[])
    require_known("embed-2", KNOWN, what="instance", offered=["embed-1"])


@pytest.mark.parametrize(("replicas", "advised"), [(0, False), (4, True)])
def test_only_who_wants_more_is_told_how_to_have_more(replicas: int, advised: bool) -> None:
    with pytest.raises(OutOfBoundsError, match="1 to 3") as refused:
        require_within("embed", replicas, least=1, most=3, advice="Buy a hive.")
    assert ("Buy a hive." in str(refused.value)) == advised


@given(st.lists(st.sampled_from(InstanceState), min_size=1, max_size=8), st.integers(min_value=0, max_value=8))
def test_a_plan_leaves_the_number_that_was_asked_for(states: list[InstanceState], replicas: int) -> None:
    slots = [Instance(service="embed", instance=f"embed-{n}", state=state) for n, state in enumerate(states)]
    wanted = min(replicas, len(slots))

    made = plan(slots, wanted)

    running = {slot.instance for slot in slots if at_work(slot)}
    assert len((running | set(made.start)) - set(made.stop)) == wanted
    assert not (made.start and made.stop)
    assert not running & set(made.start)
    assert set(made.stop) <= running

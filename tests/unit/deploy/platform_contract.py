"""What every platform must do; a platform's tests inherit it and provide `site`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import psutil
import pytest

from contracts.platform_errors import (
    InstanceChangedError,
    NotATargetError,
    OutOfBoundsError,
    PlatformAwayError,
    UnknownTargetError,
)
from contracts.platforms import Instance, InstanceState, Platform
from tests.support.waiting import until


class Site(Protocol):
    """A platform with two services: embed has three slots of which one runs, keeper two of which one runs.

    Programs write `begins` when they have begun and `finished` when they have ended what they had in hand.
    """

    platform: Platform

    async def end(self) -> None:
        """Take the platform away."""


ACTIONS: tuple[Callable[[Platform, str], Awaitable[object]], ...] = (
    lambda platform, target: platform.start(target),
    lambda platform, target: platform.stop(target),
    lambda platform, target: platform.restart(target),
    lambda platform, target: platform.logs_tail(target, 5),
    lambda platform, target: platform.scale(target, 2),
    lambda platform, target: platform.stacks(target),
)


async def states(platform: Platform) -> dict[str, InstanceState]:
    return {each.instance: each.state for each in await platform.list()}


async def running(platform: Platform, service: str) -> list[str]:
    return [
        each.instance
        for each in await platform.list()
        if each.service == service and each.state is InstanceState.RUNNING
    ]


async def one(platform: Platform, instance: str) -> Instance:
    return next(each for each in await platform.list() if each.instance == instance)


async def has_begun(platform: Platform, instance: str) -> None:
    async def said() -> bool:
        return "begins" in await platform.logs_tail(instance, 1)

    await until(said, what=f"{instance} has begun")


def lives(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class PlatformContract:
    async def test_every_slot_is_listed_with_what_runs_in_it(self, site: Site) -> None:
        listed = await site.platform.list()

        assert [(each.service, each.instance) for each in listed] == [
            ("embed", "embed-1"),
            ("embed", "embed-2"),
            ("embed", "embed-3"),
            ("keeper", "keeper-1"),
            ("keeper", "keeper-2"),
        ]
        assert [each.instance for each in listed if each.state is InstanceState.RUNNING] == ["embed-1", "keeper-1"]
        assert all(lives(each.pid) and each.since for each in listed if each.state is InstanceState.RUNNING)
        assert all(each.pid is None for each in listed if each.state is InstanceState.STOPPED)

    async def test_what_is_started_runs(self, site: Site) -> None:
        started = await site.platform.start("embed-3")

        assert started.state is InstanceState.RUNNING
        assert lives(started.pid)
        assert await running(site.platform, "embed") == ["embed-1", "embed-3"]

    async def test_starting_what_runs_leaves_it_alone(self, site: Site) -> None:
        before = await one(site.platform, "embed-1")

        assert (await site.platform.start("embed-1")).pid == before.pid

    async def test_what_is_stopped_finishes_what_it_has_in_hand(self, site: Site) -> None:
        await has_begun(site.platform, "embed-1")
        before = await one(site.platform, "embed-1")

        stopped = await site.platform.stop("embed-1")

        assert stopped.state is InstanceState.STOPPED
        assert not lives(before.pid)
        assert (await site.platform.logs_tail("embed-1", 1)) == ("finished",)
        assert stopped.exit_code == 0

    async def test_stopping_what_is_stopped_changes_nothing(self, site: Site) -> None:
        before = await states(site.platform)

        assert (await site.platform.stop("embed-2")).state is InstanceState.STOPPED
        assert await states(site.platform) == before

    async def test_a_restart_is_another_process(self, site: Site) -> None:
        before = await one(site.platform, "embed-1")

        after = await site.platform.restart("embed-1")

        assert not lives(before.pid)
        assert lives(after.pid)

    async def test_a_restart_of_another_process_than_was_seen_is_refused(self, site: Site) -> None:
        seen = await one(site.platform, "embed-1")
        now = await site.platform.restart("embed-1", seen=seen)
        with pytest.raises(InstanceChangedError, match="Nothing was changed"):
            await site.platform.restart("embed-1", seen=seen)
        await site.platform.scale("embed", 2)
        await site.platform.stop("embed-1")
        with pytest.raises(InstanceChangedError):
            await site.platform.restart("embed-1", seen=now)
        assert (await states(site.platform))["embed-1"] is InstanceState.STOPPED

    async def test_restarting_what_is_stopped_starts_it(self, site: Site) -> None:
        assert (await site.platform.restart("embed-2")).state is InstanceState.RUNNING

    async def test_more_starts_the_next_free_slots_in_order(self, site: Site) -> None:
        scaled = await site.platform.scale("embed", 3)

        assert (scaled.before, scaled.after, scaled.started, scaled.stopped) == (1, 3, ("embed-2", "embed-3"), ())
        assert await running(site.platform, "embed") == ["embed-1", "embed-2", "embed-3"]

    async def test_fewer_stops_the_highest_first(self, site: Site) -> None:
        await site.platform.scale("embed", 3)

        scaled = await site.platform.scale("embed", 1)

        assert (scaled.before, scaled.after, scaled.stopped) == (3, 1, ("embed-3", "embed-2"))
        assert await running(site.platform, "embed") == ["embed-1"]

    async def test_a_gap_is_filled(self, site: Site) -> None:
        await site.platform.scale("embed", 3)
        await site.platform.stop("embed-2")

        assert (await site.platform.scale("embed", 3)).started == ("embed-2",)

    async def test_the_number_that_runs_already_changes_nothing(self, site: Site) -> None:
        before = await site.platform.list()

        scaled = await site.platform.scale("embed", 1)

        assert (scaled.started, scaled.stopped) == ((), ())
        assert [each.pid for each in await site.platform.list()] == [each.pid for each in before]

    async def test_a_number_out_of_bounds_is_refused_with_the_bounds(self, site: Site) -> None:
        before = await states(site.platform)

        for replicas in (-1, 0, 4):
            with pytest.raises(OutOfBoundsError, match="1 to 3") as refused:
                await site.platform.scale("embed", replicas)
            assert (refused.value.least, refused.value.most) == (1, 3)

        assert await states(site.platform) == before

    async def test_an_empty_target_or_a_pattern_is_refused(self, site: Site) -> None:
        before = await site.platform.list()

        for target in ("", "*", "embed-*", "embed-1,embed-2", "embed-1 embed-2", ".", "embed-?"):
            for action in ACTIONS:
                with pytest.raises(NotATargetError):
                    await action(site.platform, target)

        assert [each.pid for each in await site.platform.list()] == [each.pid for each in before]

    async def test_the_broker_is_no_target(self, site: Site) -> None:
        for action in ACTIONS:
            with pytest.raises(NotATargetError, match="broker"):
                await action(site.platform, "nats")

    async def test_an_unknown_name_is_refused_with_the_nearest(self, site: Site) -> None:
        for action in ACTIONS:
            with pytest.raises(UnknownTargetError, match="Did you mean embed"):
                await action(site.platform, "embd")

    async def test_all_is_no_name(self, site: Site) -> None:
        with pytest.raises(UnknownTargetError):
            await site.platform.stop("all")

    async def test_the_last_one_of_a_service_that_others_lean_on_is_not_stopped(self, site: Site) -> None:
        with pytest.raises(OutOfBoundsError, match="last keeper"):
            await site.platform.stop("keeper-1")

        assert await running(site.platform, "keeper") == ["keeper-1"]

    async def test_the_last_one_of_a_service_that_others_lean_on_may_be_restarted(self, site: Site) -> None:
        before = await one(site.platform, "keeper-1")

        assert (await site.platform.restart("keeper-1")).pid not in {None, before.pid}

    async def test_of_two_that_are_stopped_at_once_one_is_kept(self, site: Site) -> None:
        await site.platform.scale("keeper", 2)

        ended = await asyncio.gather(
            site.platform.stop("keeper-1"), site.platform.stop("keeper-2"), return_exceptions=True
        )

        assert [type(each) for each in ended].count(OutOfBoundsError) == 1
        assert len(await running(site.platform, "keeper")) == 1

    async def test_changes_at_once_come_one_after_the_other(self, site: Site) -> None:
        numbers = (3, 1, 2)
        ended = await asyncio.gather(*(site.platform.scale("embed", number) for number in numbers))

        assert len(await running(site.platform, "embed")) in numbers
        assert all(abs(each.after - each.before) == len(each.started) + len(each.stopped) for each in ended)

    async def test_what_is_killed_is_started_again_by_the_platform(self, site: Site) -> None:
        before = await one(site.platform, "embed-1")
        assert before.pid is not None
        psutil.Process(before.pid).kill()

        async def another() -> bool:
            after = await one(site.platform, "embed-1")
            return after.state is InstanceState.RUNNING and after.pid != before.pid

        await until(another, what="embed-1 runs again")
        after = await one(site.platform, "embed-1")
        assert after.restarts == before.restarts + 1
        assert "SIGKILL" in after.reason
        assert after.exit_code is None

    async def test_what_a_person_restarts_was_not_restarted_by_the_platform(self, site: Site) -> None:
        assert (await site.platform.restart("embed-1")).restarts == 0

    async def test_the_end_of_a_log_has_the_lines_that_were_asked_for(self, site: Site) -> None:
        await has_begun(site.platform, "embed-1")
        await site.platform.stop("embed-1")

        assert await site.platform.logs_tail("embed-1", 2) == ("begins", "finished")
        assert await site.platform.logs_tail("embed-1", 10**9) == ("begins", "finished")

    async def test_what_never_ran_has_written_nothing(self, site: Site) -> None:
        assert await site.platform.logs_tail("embed-3", 10) == ()

    async def test_what_cannot_tell_its_stacks_goes_on(self, site: Site) -> None:
        await has_begun(site.platform, "embed-1")
        before = await one(site.platform, "embed-1")

        assert "no stacks" in await site.platform.stacks("embed-1")
        assert "no stacks" in await site.platform.stacks("embed-3")
        assert (await one(site.platform, "embed-1")).pid == before.pid

    async def test_a_platform_that_is_away_is_said_to_be(self, site: Site) -> None:
        await site.end()

        with pytest.raises(PlatformAwayError):
            await site.platform.list()
        for action in ACTIONS:
            with pytest.raises(PlatformAwayError):
                await action(site.platform, "embed-1")

"""The share of time in which a service was alive."""

from __future__ import annotations

import pytest

from contracts.figures import UptimeView
from observability.figures import uptimes
from tests.unit.observability.promql.series import MINUTE_MS, series

FRESH_MS = 60_000


def uptime(given: dict[str, str], *, minute: int, step_ms: int = MINUTE_MS) -> dict[str, UptimeView]:
    found = uptimes(series(given, step_ms=step_ms), at_ms=minute * MINUTE_MS, fresh_ms=FRESH_MS)
    return {up.component: up for up in found}


def up(service: str, instance: str) -> str:
    return f'waggle_up{{service="{service}",instance="{instance}"}}'


def test_a_service_that_was_always_heard_was_always_alive() -> None:
    assert uptime({up("embed", "a"): "1x1500"}, minute=1500)["embed"].last_day == 1.0


def test_the_time_of_a_dead_one_counts_against_it() -> None:
    found = uptime({up("embed", "a"): "1x44 0x14"}, minute=59)["embed"]

    assert found.last_hour == pytest.approx(44 / 59, abs=0.01)


def test_one_of_several_instances_is_enough() -> None:
    found = uptime({up("embed", "a"): "1x19 0x40", up("embed", "b"): "_x20 1x40"}, minute=60)["embed"]

    assert (found.last_hour, found.last_day) == (1.0, 1.0)


def test_a_service_that_is_expected_and_not_heard_of_is_down() -> None:
    """The dead are forgotten after ten minutes; what was expected of them is not."""
    given = {up("embed", "a"): "1x14 stale", 'waggle_service_expected{service="embed"}': "1x60"}

    assert uptime(given, minute=60)["embed"].last_hour == pytest.approx(14 / 60, abs=0.02)


def test_time_after_an_ordered_stop_does_not_count() -> None:
    given = {up("embed", "a"): "1x14 stale", 'waggle_service_expected{service="embed"}': "1x14 0x45"}

    assert uptime(given, minute=60)["embed"].last_hour == 1.0


def test_time_in_which_nobody_watched_does_not_count() -> None:
    assert uptime({up("embed", "a"): "1x9 _x40 1x10"}, minute=60)["embed"].last_hour == 1.0


def test_a_short_death_shows_in_the_hour_by_heartbeats() -> None:
    heartbeats = {up("embed", "a"): "1x599 0x19 1x580"}  # every 3 s: dead for a minute

    assert uptime(heartbeats, minute=60, step_ms=3_000)["embed"].last_hour == pytest.approx(59 / 60, abs=0.004)


def test_a_service_that_was_not_heard_of_within_the_hour_is_not_watched() -> None:
    found = uptime({up("embed", "a"): "1x10"}, minute=120)["embed"]

    assert (found.last_hour, found.last_day) == (None, 1.0)


def test_how_many_are_alive_and_expected_is_of_now() -> None:
    given = {
        up("embed", "a"): "1x60",
        'waggle_service_alive{service="embed"}': "2x60",
        'waggle_service_expected{service="embed"}': "3x60",
        'waggle_service_alive{service="gone"}': "2x10",
        'waggle_service_expected{service="configured"}': "1x60",
    }

    found = uptime(given, minute=60)

    assert (found["embed"].alive, found["embed"].expected) == (2, 3)
    assert (found["configured"].alive, found["configured"].expected, found["configured"].last_hour) == (0, 1, 0.0)
    assert "gone" not in found

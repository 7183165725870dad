"""How many processes are expected is learnt from those that there were; whoever is told to stop is not missed."""

from __future__ import annotations

from contracts.health import ProcessState
from tests.support.fleets import Process, Site


def members(*numbers: int) -> list[Process]:
    return [Process(instance=f"embed-{n}") for n in numbers]


def expected(site: Site) -> tuple[float | None, float | None]:
    return site.value("waggle_service_expected"), site.value("waggle_service_alive")


def test_those_that_were_alive_together_are_expected() -> None:
    site = Site()
    site.pass_(60, *members(1, 2, 3))
    assert expected(site) == (3, 3)
    site.pass_(30, *members(1))
    assert expected(site) == (3, 1)
    site.pass_(900, *members(1))
    assert expected(site) == (1, 1), "after a quarter of an hour that is what there is"


def test_the_dead_and_its_replacement_do_not_count_as_two() -> None:
    site = Site()
    site.pass_(60, *members(1))
    site.pass_(60, *members(2))
    assert expected(site) == (1, 1)


def test_who_was_told_to_stop_is_not_missed() -> None:
    site = Site()
    staying, leaving = members(1, 2), members(3)
    site.pass_(60, *staying, *leaving)
    leaving[0].state = ProcessState.DRAINING
    site.pass_(3, *staying, *leaving)
    site.pass_(20, *staying)
    assert expected(site) == (2, 2)


def test_a_service_that_was_told_to_stop_is_expected_no_more() -> None:
    site = Site()
    only = members(1)
    site.pass_(60, *only)
    only[0].state = ProcessState.DRAINING
    site.pass_(3, *only)
    site.pass_(20)
    assert expected(site) == (None, None)


def test_an_outage_does_not_become_usual() -> None:
    site = Site()
    site.pass_(60, *members(1, 2))
    site.pass_(4000)
    assert expected(site) == (1, 0)


def test_what_is_configured_is_expected_from_the_start() -> None:
    site = Site(expected={"embed": 2})
    site.pass_(4)
    assert expected(site) == (2, 0)
    site.pass_(60, *members(1, 2, 3))
    assert expected(site) == (2, 3)


def test_what_an_observer_knew_when_it_died_is_missed_by_the_next() -> None:
    site = Site(known={"embed": 2})
    site.pass_(4, *members(1))
    assert expected(site) == (2, 1)
    site.pass_(900, *members(1))
    assert expected(site) == (1, 1), "after a quarter of an hour that is what there is"


def test_an_observer_that_is_told_to_stop_leaves_nothing_to_be_missed() -> None:
    site = Site()
    site.pass_(60, *members(1, 2))
    site.now += 1
    site.intake.end()
    assert expected(site) == (None, None)


def test_a_flood_of_invented_services_is_bounded() -> None:
    site = Site()
    site.pass_(4, *(Process(service=f"s{n}", instance="i") for n in range(200)))
    assert len(site.all("waggle_service_alive")) == 64

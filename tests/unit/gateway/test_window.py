"""How many questions are on their way at once, found by trying."""

from __future__ import annotations

from gateway.capacity import Reading
from gateway.window import FIRST, Window


def reading(waiting: int, *, in_flight: int = 2) -> Reading:
    return Reading(at_s=0, waiting=waiting, in_flight=in_flight, handed_out=0)


def filled(window: Window, tenant: str = "a") -> int:
    """Enter until there is no room; how many that were."""
    number = 0
    while window.has_room:
        window.enter(tenant)
        number += 1
    return number


def emptied(window: Window, number: int, tenant: str = "a") -> None:
    for _ in range(number):
        window.leave(tenant)


def test_it_begins_with_a_few() -> None:
    assert filled(Window(max_wait_s=0.1)) == FIRST


def test_it_grows_while_it_is_full_and_nothing_waits() -> None:
    window = Window(max_wait_s=0.1)
    filled(window)

    window.observe(reading(0), None)

    assert filled(window) == FIRST


def test_what_is_not_used_does_not_grow() -> None:
    window = Window(max_wait_s=0.1)
    window.enter("a")

    window.observe(reading(0), None)

    assert window.size == FIRST


def test_it_shrinks_by_what_waits_too_long() -> None:
    window = Window(max_wait_s=0.1)
    filled(window)

    window.observe(reading(6), rate=20)

    assert window.size == 4
    assert not window.has_room


def sizes_at(stage_rate: float, *, max_wait_s: float, readings: int) -> list[int]:
    """Of a window that is always full, before two workers."""
    window, sizes = Window(max_wait_s=max_wait_s), []
    for _ in range(readings):
        inside = filled(window)
        in_flight = min(2, window.size)
        window.observe(reading(window.size - in_flight, in_flight=in_flight), rate=stage_rate)
        sizes.append(window.size)
        emptied(window, inside)
    return sizes


def test_it_settles_at_what_is_in_hand_and_what_may_wait() -> None:
    """At ten a second one may wait for a tenth of a second."""
    sizes = sizes_at(10, max_wait_s=0.1, readings=100)[5:]

    assert set(sizes) == {3, 4}
    assert sizes.count(4) <= 10


def test_where_none_may_wait_it_is_what_is_in_hand_but_for_a_try_now_and_then() -> None:
    sizes = sizes_at(20, max_wait_s=0.02, readings=100)[5:]

    assert set(sizes) == {2, 3}
    assert 0 < sizes.count(3) <= 5


def test_it_does_not_give_up_what_the_workers_can_have_in_hand() -> None:
    """In the moment of a reading one of two workers was done, and its next question on the way."""
    window = Window(max_wait_s=0.02)
    for waiting, in_flight in ((6, 2), (0, 2), (1, 1)):
        inside = filled(window)
        window.observe(reading(waiting, in_flight=in_flight), rate=20)
        emptied(window, inside)

    assert window.size == 2


def test_what_others_let_wait_takes_nothing_from_who_has_nothing_there() -> None:
    window = Window(max_wait_s=0.1)

    window.observe(reading(60, in_flight=4), rate=20)

    assert window.size == FIRST


def test_of_two_gateways_the_one_that_comes_later_comes_to_as_much() -> None:
    """A stage of sixteen workers that do eighty a second; one gateway has all of it when the other one begins, with room for one."""
    first, second = Window(max_wait_s=1), Window(max_wait_s=1)
    first._size, second._size = 96.0, 1.0
    for _ in range(240):
        inside = filled(first), filled(second)
        in_flight = min(16, sum(inside))
        told = reading(sum(inside) - in_flight, in_flight=in_flight)
        for window, number in zip((first, second), inside, strict=True):
            window.observe(told, rate=80)
            emptied(window, number)

    assert 0.7 < second.size / first.size < 1.4
    assert first.size + second.size <= 16 + 1.1 * 80


def test_workers_that_are_gone_have_nothing_in_hand_any_more() -> None:
    window = Window(max_wait_s=0.02)
    for in_flight in (4, *[1] * 20):
        inside = filled(window)
        window.observe(reading(max(0, inside - in_flight), in_flight=in_flight), rate=20)
        emptied(window, inside)

    assert window.size == 1


def test_it_grows_ever_faster_where_there_is_much_more_room() -> None:
    """From one worker to eight: known after some twenty seconds of readings twice a second."""
    window = Window(max_wait_s=0.02)
    filled(window)
    window.observe(reading(7, in_flight=1), rate=10)
    emptied(window, FIRST)
    assert window.size == 1
    for _ in range(45):
        inside = filled(window)
        window.observe(reading(0, in_flight=inside), rate=80)
        emptied(window, inside)

    assert window.size >= 8


def test_of_what_other_gateways_have_there_it_takes_its_part() -> None:
    window = Window(max_wait_s=0.1)
    filled(window)

    window.observe(reading(22, in_flight=2), rate=20)  # of these 24 a third is ours

    assert window.size == 8 - round(20 / 3)


def test_there_is_always_room_for_one() -> None:
    window = Window(max_wait_s=0.1)
    filled(window)
    for _ in range(5):
        window.observe(reading(100), rate=20)
    emptied(window, FIRST)

    assert window.has_room


def test_who_has_less_than_its_share_is_owed_room() -> None:
    window = Window(max_wait_s=0.1)
    filled(window, "bulk")

    assert window.owes("few", lambda _: 1.0)
    assert not window.owes("bulk", lambda _: 1.0)
    emptied(window, 4, "bulk")
    for _ in range(4):
        window.enter("few")
    assert not window.owes("few", lambda _: 1.0)
    assert window.owes("few", lambda tenant: 3.0 if tenant == "few" else 1.0)

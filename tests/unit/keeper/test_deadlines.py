"""The keeper's timers against a plain dictionary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from workers.keeper.deadlines import Deadlines

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def key(n: int) -> tuple[str, str]:
    return "t", f"q{n}"


def test_a_timer_is_due_once_at_its_time() -> None:
    deadlines = Deadlines()
    deadlines.arm(key(1), at(5))
    assert deadlines.due(at(4.9), limit=10) == []
    assert deadlines.due(at(5), limit=10) == [(key(1), at(5))]
    assert deadlines.due(at(99), limit=10) == []


def test_of_two_times_for_one_query_the_earlier_counts() -> None:
    deadlines = Deadlines()
    for seconds in (5, 3, 9):
        deadlines.arm(key(1), at(seconds))
    assert deadlines.due(at(4), limit=10) == [(key(1), at(3))]
    assert deadlines.due(at(99), limit=10) == []


def test_a_query_that_ended_is_not_due() -> None:
    deadlines = Deadlines()
    deadlines.arm(key(1), at(1))
    deadlines.disarm(key(1))
    assert deadlines.next_at() is None
    assert deadlines.due(at(2), limit=10) == []


def test_beyond_its_capacity_only_known_queries_are_taken() -> None:
    deadlines = Deadlines(capacity=2)
    assert deadlines.arm(key(1), at(1))
    assert deadlines.arm(key(2), at(2))
    assert not deadlines.arm(key(3), at(3))
    assert deadlines.arm(key(2), at(1))
    deadlines.due(at(1), limit=1)
    assert deadlines.arm(key(3), at(3))


def test_queries_that_end_early_leave_nothing_behind() -> None:
    deadlines = Deadlines()
    for n in range(10_000):
        deadlines.arm(key(n), at(300 + n))
        deadlines.disarm(key(n))
    assert len(deadlines) == 0
    assert len(deadlines._heap) < 200


actions = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), st.integers(0, 5), st.integers(0, 50)),
        st.tuples(st.just("disarm"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("due"), st.integers(1, 3), st.integers(0, 50)),
    ),
    max_size=60,
)


@given(actions)
def test_it_behaves_as_a_plain_table_of_times(history: list[tuple[str, int, int]]) -> None:
    deadlines, table = Deadlines(), dict[tuple[str, str], datetime]()
    for action, n, seconds in history:
        if action == "arm":
            deadlines.arm(key(n), at(seconds))
            table[key(n)] = min(at(seconds), table.get(key(n), at(seconds)))
        elif action == "disarm":
            deadlines.disarm(key(n))
            table.pop(key(n), None)
        else:
            ripe = sorted((when, k) for k, when in table.items() if when <= at(seconds))[:n]
            assert [when for _, when in deadlines.due(at(seconds), limit=n)] == [when for when, _ in ripe]
            table = {k: when for k, when in table.items() if k in deadlines}
        assert len(deadlines) == len(table)
        assert deadlines.next_at() == min(table.values(), default=None)

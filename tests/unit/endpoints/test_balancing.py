"""Who gets the next request."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contracts.endpoints import Balance
from tests.unit.endpoints.making import endpoint
from workers.endpoints.balancing import Balancer
from workers.endpoints.endpoint import Endpoint


def sequence(balancer: Balancer, candidates: list[Endpoint], count: int) -> str:
    return "".join(balancer.choose(candidates).address.host for _ in range(count))


def test_round_robin_takes_turns_whatever_the_weights() -> None:
    three = [endpoint("a", weight=5), endpoint("b"), endpoint("c")]
    assert sequence(Balancer(Balance.ROUND_ROBIN), three, 6) == "abcabc"


def test_the_share_of_one_that_is_left_out_goes_to_all_others() -> None:
    a, b, c = three = [endpoint("a"), endpoint("b"), endpoint("c")]
    balancer = Balancer(Balance.ROUND_ROBIN)
    sequence(balancer, three, 3)
    assert Counter(sequence(balancer, [a, c], 10)) == {"a": 5, "c": 5}
    assert Counter(sequence(balancer, [a, b, c], 9)) == {"a": 3, "b": 3, "c": 3}


def test_weights_are_shares_without_bursts() -> None:
    assert sequence(Balancer(Balance.WEIGHTED), [endpoint("a", weight=3), endpoint("b")], 8) == "aabaaaba"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_over_a_round_everybody_has_had_their_share(weights: list[int]) -> None:
    candidates = [endpoint(f"e{n}", weight=weight) for n, weight in enumerate(weights)]
    balancer = Balancer(Balance.WEIGHTED)
    shares = Counter(balancer.choose(candidates) for _ in range(sum(weights)))
    assert shares == {candidate: candidate.address.weight for candidate in candidates}


def test_the_least_busy_is_chosen() -> None:
    a, b, c = endpoint("a"), endpoint("b"), endpoint("c")
    a.in_flight, b.in_flight, c.in_flight = 3, 1, 2
    assert sequence(Balancer(Balance.LEAST_CONNECTIONS), [a, b, c], 3) == "bbb"


def test_a_weight_makes_more_requests_count_as_few() -> None:
    a, b = endpoint("a", weight=4), endpoint("b")
    a.in_flight, b.in_flight = 3, 1
    assert sequence(Balancer(Balance.LEAST_CONNECTIONS), [a, b], 2) == "aa"


def test_the_equally_busy_take_turns() -> None:
    assert sequence(Balancer(Balance.LEAST_CONNECTIONS), [endpoint("a"), endpoint("b")], 4) == "abab"

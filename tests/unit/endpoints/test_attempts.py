"""One request's way through the endpoints."""

from __future__ import annotations

import pytest

from contracts.endpoints import Balance
from contracts.errors import ErrorCode, PermanentError, TransientError
from tests.unit.endpoints.making import REFUSED, busy, endpoint, failure, misconfigured
from tests.unit.endpoints.pools import PURPOSE
from workers.endpoints.attempts import Attempts
from workers.endpoints.balancing import Balancer
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import Fault


def attempts(*endpoints: Endpoint) -> Attempts:
    return Attempts(endpoints, Balancer(Balance.ROUND_ROBIN), PURPOSE)


def fail(tried: Attempts, fault: Fault) -> str:
    """Who was asked, in vain."""
    asked = tried.next()
    if asked is None:
        return ""
    asked.faulted(fault)
    tried.failed(asked, fault)
    return asked.address.host


def test_each_is_asked_once_and_one_that_lost_the_connection_once_more() -> None:
    tried = attempts(endpoint("a"), endpoint("b"))
    first, second, again, nobody = [fail(tried, failure("closed the connection", again=True)) for _ in range(4)]
    assert (first, second, nobody) == ("a", "b", "")
    assert again in {"a", "b"}


def test_one_that_failed_otherwise_is_not_asked_again() -> None:
    tried = attempts(endpoint("a"))
    assert [fail(tried, failure()) for _ in range(2)] == ["a", ""]


def test_one_that_is_out_by_now_is_not_asked_again() -> None:
    a = endpoint("a")
    a.faulted(failure())
    a.faulted(failure())
    tried = attempts(a)
    assert [fail(tried, failure(again=True)) for _ in range(2)] == ["a", ""]


def test_standbys_come_last() -> None:
    tried = attempts(endpoint("s", standby=True), endpoint("a"), endpoint("b"))
    assert [fail(tried, failure()) for _ in range(4)] == ["a", "b", "s", ""]


def test_a_standby_is_asked_at_once_when_no_other_is_usable() -> None:
    a = endpoint("a")
    a.draining = True
    assert fail(attempts(a, endpoint("s", standby=True)), failure()) == "s"


def test_a_request_that_is_refused_goes_nowhere_else() -> None:
    tried = attempts(endpoint("a"), endpoint("b"))
    with pytest.raises(PermanentError, match="http://a/v1 refused the request") as refused:
        fail(tried, REFUSED)
    assert refused.value.code is ErrorCode.GENERATION_FAILED


def test_the_error_names_every_endpoint_and_its_reason() -> None:
    a, b, c = endpoint("a"), endpoint("b"), endpoint("c")
    c.draining = True
    tried = attempts(a, b, c)
    fail(tried, failure("answered 500"))
    fail(tried, failure("answered 502"))
    error = tried.error()
    assert isinstance(error, TransientError)
    assert str(error).endswith("http://a/v1 answered 500; http://b/v1 answered 502; http://c/v1 is being drained")
    assert error.retry_after_s is None


def test_when_all_rest_the_shortest_rest_says_when_to_come_back() -> None:
    tried = attempts(endpoint("a"), endpoint("b"))
    fail(tried, busy(30))
    fail(tried, busy(12))
    error = tried.error()
    assert isinstance(error, TransientError)
    assert error.retry_after_s == 12


def test_settings_that_fit_no_endpoint_are_a_permanent_error() -> None:
    tried = attempts(endpoint("a"), endpoint("b"))
    fail(tried, misconfigured("refuses the key with 401"))
    fail(tried, misconfigured("does not serve the model"))
    assert isinstance(tried.error(), PermanentError)


def test_settings_that_may_fit_one_that_is_away_are_not() -> None:
    a, b = endpoint("a"), endpoint("b")
    b.take_out()
    tried = attempts(a, b)
    fail(tried, misconfigured())
    assert isinstance(tried.error(), TransientError)


def test_standbys_come_first_where_that_is_wanted() -> None:
    endpoints = endpoint("a"), endpoint("s", standby=True), endpoint("b")
    tried = Attempts(endpoints, Balancer(Balance.ROUND_ROBIN), PURPOSE, standbys_first=True)
    assert [fail(tried, failure()) for _ in range(4)] == ["s", "a", "b", ""]

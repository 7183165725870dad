"""When an endpoint leaves, rests and returns."""

from __future__ import annotations

import pytest

from contracts.endpoint_reports import EndpointState
from tests.support.clocks import Clock
from tests.unit.endpoints.making import REFUSED, busy, endpoint, failure, misconfigured
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import Fault


def out() -> Endpoint:
    made = endpoint()
    for _ in range(3):
        made.faulted(failure())
    return made


def test_three_failures_in_a_row_take_it_out() -> None:
    tried = endpoint()
    tried.faulted(failure())
    tried.faulted(failure())
    assert tried.state is EndpointState.HEALTHY
    tried.faulted(failure("answered 502"))
    assert (tried.state, tried.usable) == (EndpointState.FAILING, False)
    assert tried.standing == "answered 502"


def test_a_success_between_failures_keeps_it() -> None:
    tried = endpoint()
    for _ in range(5):
        tried.faulted(failure())
        tried.faulted(failure())
        tried.succeeded()
    assert tried.usable


@pytest.mark.parametrize("fault", [misconfigured(), REFUSED])
def test_settings_and_requests_that_do_not_fit_do_not_count_against_it(fault: Fault) -> None:
    tried = endpoint()
    for _ in range(5):
        tried.faulted(fault)
    assert tried.usable
    assert tried.stats().failures == 0


def test_two_passed_probes_in_a_row_bring_it_back() -> None:
    tried = out()
    tried.probe_passed()
    tried.probe_failed("no answer")
    tried.probe_passed()
    assert not tried.usable
    tried.probe_passed()
    assert tried.state is EndpointState.HEALTHY


def test_what_probes_say_hides_no_reason_why_it_left() -> None:
    tried = endpoint()
    tried.probe_failed("no answer")
    assert tried.standing == "no answer"
    for _ in range(3):
        tried.faulted(failure("did not reply within 2 s (THE_SETTING)"))
    tried.probe_failed("no answer")
    assert tried.standing == "did not reply within 2 s (THE_SETTING); a probe since then: no answer"
    tried.probe_passed()
    tried.probe_passed()
    assert tried.standing == "did not reply within 2 s (THE_SETTING)"


def test_probes_of_one_in_use_do_not_count_for_its_return() -> None:
    tried = endpoint()
    tried.probe_passed()
    for _ in range(3):
        tried.faulted(failure())
    tried.probe_passed()
    assert tried.state is EndpointState.FAILING


def test_back_again_it_leaves_at_the_first_failure_until_it_has_answered() -> None:
    returned = out()
    returned.bring_back()
    returned.faulted(failure())
    assert not returned.usable
    returned.bring_back()
    returned.succeeded()
    returned.faulted(failure())
    assert returned.state is EndpointState.HEALTHY


def test_it_rests_as_long_as_it_asked_for() -> None:
    clock = Clock(now=0.0)
    tried = endpoint(clock=clock)
    tried.faulted(busy(10))
    tried.faulted(busy(2))  # of a request that was under way: the longer rest counts
    clock.now = 9.9
    assert (tried.state, tried.usable) == (EndpointState.RESTING, False)
    assert "rests for another 0.1 s (answered 429)" in tried.standing
    clock.now = 10
    assert tried.usable
    assert tried.stats().failures == 0


def test_draining_goes_before_all_else() -> None:
    tried = out()
    tried.draining = True
    assert tried.standing == "is being drained"
    tried.draining = False
    assert tried.state is EndpointState.FAILING


def test_latency_is_a_moving_average() -> None:
    tried = endpoint()
    assert tried.stats().latency_s is None
    tried.first_token_after(1.0)
    assert tried.stats().latency_s == 1.0
    tried.first_token_after(2.0)
    assert tried.stats().latency_s == pytest.approx(1.2)

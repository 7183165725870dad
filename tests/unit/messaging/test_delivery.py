"""Reading what the broker says about a delivery, its time and its retries."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import subjects, topology
from contracts.errors import NewerSchemaError, TransientError
from contracts.queries import DEFAULT_DEADLINE_S, MAX_DEADLINE_S
from messaging.activity import Activity
from messaging.checks import Checks
from messaging.clock import BrokerClock, parse_time
from messaging.deadletters import letter_id
from messaging.deadlines import budget_s
from messaging.delivery import Delivery
from messaging.errors import ForeignMessageError
from messaging.retries import JITTER, MAX_DELAY_S, RetryDelays, handler_attempts

PUBLISHED_NS = 1_767_225_600_123_456_789


class Raw:
    def __init__(self, reply: str) -> None:
        self.reply = reply
        self.subject = "rag.query.requests.acme"
        self.headers = {"a": "b"}


class TestDelivery:
    @pytest.mark.parametrize(
        "reply",
        [
            f"$JS.ACK.QUERY.retrieve.3.41.55.{PUBLISHED_NS}.7",
            f"$JS.ACK._.ACCOUNTHASH.QUERY.retrieve.3.41.55.{PUBLISHED_NS}.7",
            f"$JS.ACK.domain.ACCOUNTHASH.QUERY.retrieve.3.41.55.{PUBLISHED_NS}.7.random",
        ],
        ids=["short", "with-account", "with-account-and-token"],
    )
    def test_every_form_of_acknowledgement_subject_is_understood(self, reply: str) -> None:
        delivery = Delivery.of(cast("Any", Raw(reply)))
        assert (delivery.stream, delivery.consumer) == ("QUERY", "retrieve")
        assert (delivery.attempt, delivery.sequence, delivery.tenant) == (3, 41, "acme")
        assert delivery.published_at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)

    @pytest.mark.parametrize("reply", ["", "_INBOX.abc", "$JS.ACK.too.short"])
    def test_a_message_that_no_consumer_delivered_is_refused(self, reply: str) -> None:
        with pytest.raises(ForeignMessageError):
            Delivery.of(cast("Any", Raw(reply)))


class TestBudget:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, DEFAULT_DEADLINE_S),
            ("1500", 1.5),
            ("0", 0.0),
            ("-5", 0.0),
            ("soon", DEFAULT_DEADLINE_S),
            ("", DEFAULT_DEADLINE_S),
            ("nan", DEFAULT_DEADLINE_S),
            ("inf", MAX_DEADLINE_S),
            ("9e99", MAX_DEADLINE_S),
        ],
    )
    def test_it_is_read_or_the_default_and_never_beyond_the_longest(self, value: str | None, seconds: float) -> None:
        headers = {} if value is None else {subjects.HEADER_BUDGET_MS: value}
        assert budget_s(headers) == seconds

    @given(st.text())
    def test_whatever_the_header_says_it_stays_in_bounds(self, value: str) -> None:
        assert 0 <= budget_s({subjects.HEADER_BUDGET_MS: value}) <= MAX_DEADLINE_S


class TestRetryDelays:
    @given(attempt=st.integers(1, 10_000), seed=st.integers())
    def test_delays_grow_to_a_bound_and_are_spread(self, attempt: int, seed: int) -> None:
        delays = RetryDelays(random=random.Random(seed))
        delay_s = delays.delay_s(OSError(), attempt=attempt)
        planned = min(MAX_DELAY_S, 0.5 * 2 ** min(attempt - 1, 10))
        assert planned * (1 - JITTER) <= delay_s <= planned * (1 + JITTER)

    def test_an_errors_own_delay_wins(self) -> None:
        assert RetryDelays().delay_s(TransientError("x", retry_after_s=7), attempt=1) == 7

    def test_a_newer_schema_waits_for_an_upgrade(self) -> None:
        assert RetryDelays().delay_s(NewerSchemaError("x"), attempt=1) >= 8

    def test_one_delivery_is_kept_back(self) -> None:
        assert handler_attempts(topology.INGEST_WORKERS) == topology.INGEST_WORKERS.attempts
        assert handler_attempts(replace(topology.INGEST_WORKERS, max_deliver=3)) == 2
        assert handler_attempts(topology.KEEPER_ADVISORIES) == float("inf")


class TestClock:
    def make(self, local: list[float]) -> BrokerClock:
        return BrokerClock(cast("Any", None), monotonic=lambda: local[0])

    def test_it_follows_the_broker_however_wrong_the_host_is(self) -> None:
        local = [100.0]
        clock = self.make(local)
        clock.learn({"ts": "2031-05-05T10:00:00.5Z"}, sent=99.9, received=100.1)
        assert clock.now() == datetime(2031, 5, 5, 10, 0, 0, 500_000, tzinfo=UTC)
        local[0] = 160.0
        assert clock.now() == datetime(2031, 5, 5, 10, 1, 0, 500_000, tzinfo=UTC)
        assert clock.remaining_s(datetime(2031, 5, 5, 10, 1, 10, 500_000, tzinfo=UTC)) == pytest.approx(10)
        assert clock.at_monotonic(datetime(2031, 5, 5, 10, 1, 10, 500_000, tzinfo=UTC)) == pytest.approx(170)

    def test_a_slow_reply_does_not_spoil_an_exact_sample(self) -> None:
        clock = self.make([100.0])
        clock.learn({"ts": "2031-05-05T10:00:00Z"}, sent=99.999, received=100.001)
        clock.learn({"ts": "2031-05-05T10:00:00Z"}, sent=99.0, received=102.0)
        assert abs(clock.now() - datetime(2031, 5, 5, 10, 0, tzinfo=UTC)) < timedelta(milliseconds=2)

    def test_a_broker_whose_clock_was_set_is_followed(self) -> None:
        clock = self.make([100.0])
        clock.learn({"ts": "2031-05-05T10:00:00Z"}, sent=99.999, received=100.001)
        clock.learn({"ts": "2031-05-05T11:00:00Z"}, sent=99.9, received=100.1)
        assert abs(clock.now() - datetime(2031, 5, 5, 11, 0, tzinfo=UTC)) < timedelta(milliseconds=200)

    def test_replies_without_a_time_change_nothing(self) -> None:
        clock = self.make([100.0])
        clock.learn({"error": {"code": 404}}, sent=1, received=2)
        assert not clock.synchronised

    @pytest.mark.parametrize(
        ("text", "microsecond"),
        [
            ("2026-01-01T00:00:00Z", 0),
            ("2026-01-01T00:00:00.5Z", 500_000),
            ("2026-01-01T00:00:00.123456789Z", 123_456),
        ],
    )
    def test_the_brokers_times_have_up_to_nine_decimals(self, text: str, microsecond: int) -> None:
        assert parse_time(text) == datetime(2026, 1, 1, 0, 0, 0, microsecond, tzinfo=UTC)


class TestActivity:
    async def test_it_tells_how_much_and_how_old(self) -> None:
        now = [0.0]
        activity = Activity(monotonic=lambda: now[0])
        assert (activity.in_flight, activity.oldest_in_flight_s, activity.last_progress_ago_s) == (0, None, None)
        activity.begin("a")
        now[0] = 2
        activity.begin("b")
        now[0] = 5
        assert (activity.in_flight, activity.oldest_in_flight_s) == (2, 5)
        activity.end("a")
        assert (activity.oldest_in_flight_s, activity.progress) == (3, 1)
        now[0] = 6
        assert activity.last_progress_ago_s == 1

    async def test_waiting_for_idleness_has_an_end(self) -> None:
        activity = Activity()
        activity.begin("a")
        assert not await activity.wait_idle(timeout_s=0.01)
        activity.end("a")
        assert await activity.wait_idle(timeout_s=0.01)


class TestLetterId:
    def test_it_is_a_token_that_a_recreated_stream_does_not_repeat(self) -> None:
        first = letter_id(1, datetime(2026, 1, 1, tzinfo=UTC))
        assert first == letter_id(1, datetime(2026, 1, 1, tzinfo=UTC))
        assert first != letter_id(1, datetime(2026, 1, 2, tzinfo=UTC))
        assert first.replace("-", "").isdigit()


class TestChecks:
    async def test_a_check_that_hangs_is_failing(self) -> None:
        import asyncio

        checks = Checks(timeout_s=0.01)

        async def hang() -> Any:
            await asyncio.Event().wait()

        checks.add("model", hang)
        assert [check.status for check in checks.results] == ["unknown"]
        await checks.look()
        assert [check.status for check in checks.results] == ["failing"]
        assert "no answer" in checks.results[0].detail

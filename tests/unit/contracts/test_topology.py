"""The table keeps the rules that delivery rests on."""

from __future__ import annotations

import itertools

import pytest

from contracts.channels import CHANNELS
from contracts.queries import MAX_DEADLINE_S
from contracts.topology import ANSWERS, CONSUMERS, GENERATE, KEY_VALUES, QUERY, STREAMS, TERMINALS, Retention, Stream


def covers(pattern: str, subject: str) -> bool:
    """Whether some subject matches both patterns."""
    left, right = pattern.split("."), subject.split(".")
    for a, b in itertools.zip_longest(left, right):
        if a == ">" or b == ">":
            return True
        if a is None or b is None or (a != b and "*" not in (a, b)):
            return False
    return True


def test_no_two_streams_claim_one_subject() -> None:
    for one, other in itertools.combinations(STREAMS, 2):
        for a, b in itertools.product(one.subjects, other.subjects):
            assert not covers(a, b), f"{one.name} and {other.name} overlap in {a} and {b}"


def test_consumers_of_a_work_queue_do_not_overlap() -> None:
    for one, other in itertools.combinations(CONSUMERS, 2):
        if one.stream is other.stream and one.stream.retention is Retention.WORK_QUEUE:
            assert not covers(one.filter_subject, other.filter_subject)


@pytest.mark.parametrize("stream", STREAMS, ids=lambda s: s.name)
def test_every_stream_is_bounded_and_says_why(stream: Stream) -> None:
    assert stream.max_bytes > 0
    assert len(stream.why) > 20


@pytest.mark.parametrize("stream", [QUERY, GENERATE], ids=lambda s: s.name)
def test_a_request_outlives_the_longest_deadline(stream: Stream) -> None:
    assert stream.max_age_s is not None
    assert stream.max_age_s >= MAX_DEADLINE_S + 60


def test_a_terminal_outlives_every_redelivery() -> None:
    assert TERMINALS.max_age_s is not None
    assert GENERATE.max_age_s is not None
    assert TERMINALS.max_age_s > GENERATE.max_age_s
    assert TERMINALS.max_msgs_per_subject == 1
    assert TERMINALS.discard_new_per_subject


def test_names_are_unique() -> None:
    for names in ([s.name for s in STREAMS], [c.durable for c in CONSUMERS], [k.name for k in KEY_VALUES]):
        assert len(set(names)) == len(names)


def test_every_channel_lies_in_its_stream() -> None:
    for channel in CHANNELS:
        if channel.stream is not None:
            subject = ".".join("*" if part.startswith("{") else part for part in channel.address.split("."))
            assert any(covers(pattern, subject) for pattern in channel.stream.subjects), channel.name


def test_readers_of_answers_can_resume_for_minutes() -> None:
    assert ANSWERS.max_age_s is not None
    assert ANSWERS.max_age_s >= 300

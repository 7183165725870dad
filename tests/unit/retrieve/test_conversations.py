"""What is searched for when a conversation comes with the question."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from contracts.errors import TransientError
from contracts.queries import MAX_QUERY_CHARACTERS, QueryRequest, Turn
from workers.retrieve.conversations import Conversations, Standalone, with_question_before


class Desk:
    def __init__(self, *, error: Exception | None = None) -> None:
        self.timeouts: list[float] = []
        self._error = error

    async def condense(self, tenant: str, query: str, turns: Sequence[Turn], *, timeout_s: float) -> str:
        self.timeouts.append(timeout_s)
        if self._error:
            raise self._error
        return f"full {query}"


def request(*contents: str, query: str = "And it?") -> QueryRequest:
    roles = ("user", "assistant")
    turns = tuple(Turn.model_validate({"role": roles[n % 2], "content": text}) for n, text in enumerate(contents))
    return QueryRequest(query=query, messages=turns)


@pytest.mark.parametrize(("left_s", "timeout_s"), [(None, 5.0), (100.0, 5.0), (8.0, 2.0), (0.0, 0.05)])
async def test_no_more_than_a_quarter_of_the_time_goes_into_the_question(
    left_s: float | None, timeout_s: float
) -> None:
    desk = Desk()
    standalone = await Conversations(desk, timeout_s=5).standalone(request("A?"), left_s=left_s)
    assert standalone == Standalone(query="full And it?", by_model=True)
    assert desk.timeouts == [timeout_s]


async def test_a_question_alone_is_left_as_it_is() -> None:
    desk = Desk()
    assert await Conversations(desk, timeout_s=5).standalone(request(), left_s=30) is None
    assert desk.timeouts == []


async def test_a_model_that_is_away_fails_nothing() -> None:
    conversations = Conversations(Desk(error=TransientError("away")), timeout_s=5)
    standalone = await conversations.standalone(request("First?", "Yes.", "Second?", "No."), left_s=30)
    assert standalone == Standalone(query="Second? And it?", by_model=False)


def test_what_is_searched_for_stays_a_question_in_length() -> None:
    long = request("x" * 8000, query="y" * 3990)
    assert len(with_question_before(long)) <= MAX_QUERY_CHARACTERS
    assert with_question_before(long).endswith("y" * 3990)
    full = request("x", query="y" * MAX_QUERY_CHARACTERS)
    assert with_question_before(full) == full.query

"""Texts on their way to the encoders: grouped, some at once, in order, and every way in which that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from contracts.encoding import MAX_CHARACTERS, MAX_TEXTS, EncodeReply, EncodeRequest, TextKind
from gateway.encoding import ASKS, GROUPS_AT_ONCE, Encoders, EncodersExchangedError, Encoding, Wanted
from gateway.problems import Problem
from messaging.encoding import EncoderLeftError, EncodersBusyError, NotEncodedError, TextRefusedError

Answer = Callable[[EncodeRequest], Awaitable[EncodeReply]]


def reply(*texts: str, model: str = "m", tokens: int | None = 1) -> EncodeReply:
    """A text is its own vector."""
    return EncodeReply(model=model, dimension=1, vectors=texts, tokens=tokens)


class Desk:
    """Answers by what it is given, else with all vectors."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.asked: list[EncodeRequest] = []
        self.most_at_once = 0
        self._at_once = 0
        self._answer = answer

    async def encode(self, request: EncodeRequest) -> EncodeReply:
        self.asked.append(request)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(0)
            return reply(*request.texts) if self._answer is None else await self._answer(request)
        finally:
            self._at_once -= 1


class Clock:
    """Passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def encoding(desk: Desk, *texts: str, patience_s: float = 5.0, clock: Clock | None = None) -> Encoding:
    clock = clock or Clock()
    wanted = Wanted(tenant="acme", principal="ann", texts=texts, kind=TextKind.QUESTIONS, model="m", dimension=1)
    return Encoding(desk, wanted, patience_s=patience_s, monotonic=lambda: clock.now, sleep=clock.sleep)


async def test_groups_of_a_bounded_size_are_asked_for_some_at_once_and_come_in_order() -> None:
    desk = Desk()
    texts = [f"text {i}" for i in range(205)]

    encoded = await encoding(desk, *texts).done(within_s=10)

    assert (encoded.vectors, encoded.model, encoded.tokens) == (texts, "m", len(desk.asked))
    assert len(desk.asked) == -(-len(texts) // MAX_TEXTS)
    assert desk.most_at_once == GROUPS_AT_ONCE
    first = desk.asked[0]
    assert (first.tenant, first.principal, first.kind, first.model, first.dimension) == (
        "acme",
        "ann",
        TextKind.QUESTIONS,
        "m",
        1,
    )


async def test_long_texts_go_in_groups_that_fit_into_a_message() -> None:
    desk = Desk()
    texts = ["a" * MAX_CHARACTERS, "b", "c" * (MAX_CHARACTERS - 1), "d" * MAX_CHARACTERS]

    assert (await encoding(desk, *texts).done(within_s=10)).vectors == texts
    assert sorted(len(request.texts) for request in desk.asked) == [1, 1, 2]


async def test_what_did_not_fit_into_a_reply_is_asked_for_again() -> None:
    async def three(request: EncodeRequest) -> EncodeReply:
        return reply(*request.texts[:3], tokens=None)

    texts = [f"text {i}" for i in range(20)]
    encoded = await encoding(Desk(three), *texts).done(within_s=10)

    assert (encoded.vectors, encoded.tokens) == (texts, None)


async def test_a_text_at_fault_is_named_among_all() -> None:
    async def picky(request: EncodeRequest) -> EncodeReply:
        if "bad" in request.texts:
            raise TextRefusedError("too loud", position=request.texts.index("bad"))
        return reply(*request.texts[:5])

    texts = [f"text {i}" for i in range(40)]
    texts[27] = "bad"
    with pytest.raises(TextRefusedError, match="too loud") as raised:
        await encoding(Desk(picky), *texts).done(within_s=10)
    assert raised.value.position == 27


async def test_busy_workers_are_asked_again_for_as_long_as_something_is_encoded() -> None:
    clock, refused = Clock(), dict[str, int]()

    async def rarely(request: EncodeRequest) -> EncodeReply:
        name = request.texts[0]
        refused[name] = refused.get(name, 0) + 1
        if refused[name] < 5:
            raise EncodersBusyError("busy")
        return reply(*request.texts)

    texts = [f"text {i}" for i in range(160)]
    encoded = await encoding(Desk(rarely), *texts, patience_s=3.0, clock=clock).done(within_s=10)

    assert encoded.vectors == texts
    assert clock.now > 3.0


async def test_where_nothing_is_encoded_any_more_they_are_given_up() -> None:
    clock = Clock()

    async def busy(_: EncodeRequest) -> EncodeReply:
        raise EncodersBusyError("busy")

    with pytest.raises(EncodersBusyError):
        await encoding(Desk(busy), "a", patience_s=3.0, clock=clock).done(within_s=10)
    assert 3.0 < clock.now < 4.0


async def test_another_worker_does_what_one_left_undone() -> None:
    left = iter([EncoderLeftError("it ends")] * (ASKS - 1))

    async def leaving(request: EncodeRequest) -> EncodeReply:
        for error in left:
            raise error
        return reply(*request.texts)

    assert (await encoding(Desk(leaving), "a").done(within_s=10)).vectors == ["a"]


@pytest.mark.parametrize(("error", "asks"), [(EncoderLeftError("it ends"), ASKS), (NotEncodedError("away"), 1)])
async def test_not_for_ever_and_not_where_the_encoder_is_away(error: Exception, asks: int) -> None:
    async def failing(_: EncodeRequest) -> EncodeReply:
        raise error

    desk = Desk(failing)
    with pytest.raises(type(error)):
        await encoding(desk, "a").done(within_s=10)
    assert len(desk.asked) == asks


async def test_after_its_time_nothing_goes_on() -> None:
    stopped = list[str]()

    async def hanging(request: EncodeRequest) -> EncodeReply:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append(request.texts[0])
        raise AssertionError

    desk = Desk(hanging)
    with pytest.raises(TimeoutError):
        await encoding(desk, *(f"text {i}" for i in range(100))).done(within_s=0.05)
    assert len(stopped) == len(desk.asked) == GROUPS_AT_ONCE


async def test_vectors_of_two_encoders_are_not_mixed() -> None:
    names = iter("mn")

    async def exchanged(request: EncodeRequest) -> EncodeReply:
        return reply(*request.texts, model=next(names))

    with pytest.raises(EncodersExchangedError):
        await encoding(Desk(exchanged), *(f"text {i}" for i in range(20))).done(within_s=10)


def test_texts_in_hand_are_bounded_and_one_tenant_has_a_half() -> None:
    encoders = Encoders(Desk(), at_most=10, patience_s=1)
    with encoders.holding("a", 5), encoders.holding("b", 3):
        for tenant, texts in (("a", 1), ("c", 3)):
            with pytest.raises(Problem, match="as many texts") as raised, encoders.holding(tenant, texts):
                pass
            assert (raised.value.status, raised.value.headers["Retry-After"]) == (429, "1")
        with encoders.holding("c", 2):
            pass
    with encoders.holding("c", 5):
        pass

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from contracts.errors import PermanentError
from tests.support.waiting import until
from workers.encoding.base import Vector
from workers.encoding.simulated import SimulatedEmbedder
from workers.retrieve.questions import QuestionEncoder


class WatchedEmbedder(SimulatedEmbedder):
    """Waits at the gate before it encodes, and remembers what came together."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[list[str]] = []
        self.threads: set[str] = set()
        self.error: Exception | None = None
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        self.calls.append(list(questions))
        self.threads.add(threading.current_thread().name)
        self.gate.wait(10)
        if self.error:
            raise self.error
        return super().encode_questions(questions)


@pytest.fixture
def embedder():
    return WatchedEmbedder()


@pytest.fixture
async def encoder(embedder):
    encoder = QuestionEncoder(lambda: embedder)
    await encoder.start()
    embedder.calls.clear()  # what it encoded to warm up
    yield encoder
    embedder.gate.set()
    await encoder.stop()


async def test_questions_that_come_while_it_is_busy_are_encoded_together(encoder, embedder):
    embedder.gate.clear()
    first = asyncio.create_task(encoder.encode("first"))
    await until(lambda: embedder.calls == [["first"]])
    others = [asyncio.create_task(encoder.encode(f"q{i}")) for i in range(5)]
    await asyncio.sleep(0)
    embedder.gate.set()
    vectors = await asyncio.gather(first, *others)
    assert embedder.calls == [["first"], ["q0", "q1", "q2", "q3", "q4"]]
    assert len(embedder.threads) == 1
    expected = SimulatedEmbedder().encode_questions(["first", "q0", "q1", "q2", "q3", "q4"])
    np.testing.assert_array_equal(np.stack(vectors), expected)


async def test_every_usual_length_has_been_encoded_before_the_first_question(embedder):
    encoder = QuestionEncoder(lambda: embedder)
    await encoder.start()
    await encoder.stop()
    assert {len(questions[0].split()) for questions in embedder.calls if len(questions) == 1} >= set(range(1, 41))


async def test_a_slow_encoder_is_not_warmed_up_for_long(embedder, monkeypatch):
    monkeypatch.setattr("workers.retrieve.questions.WARM_UP_S", 0.0)
    encoder = QuestionEncoder(lambda: embedder)
    await encoder.start()
    await encoder.stop()
    assert len(embedder.calls) == 1


async def test_an_error_reaches_everyone_who_asked_and_the_next_question_is_encoded(encoder, embedder):
    embedder.error = RuntimeError("out of memory")
    outcomes = await asyncio.gather(encoder.encode("a"), encoder.encode("b"), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["out of memory"] * 2
    embedder.error = None
    assert (await encoder.encode("c")).shape == (384,)


async def test_a_question_that_is_refused_fails_alone(encoder, embedder, monkeypatch):
    def refuse(questions):
        if "too long" in questions:
            raise PermanentError("refused")
        return SimulatedEmbedder().encode_questions(questions)

    monkeypatch.setattr(embedder, "encode_questions", refuse)
    asked = [encoder.encode(question) for question in ("a", "too long", "b")]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(outcome, PermanentError) for outcome in outcomes] == [False, True, False]


async def test_its_end_is_the_encoders(embedder):
    encoder = QuestionEncoder(lambda: embedder)
    await encoder.start()
    await encoder.stop()
    assert embedder.closed


async def test_a_question_that_is_given_up_does_not_hold_up_the_others(encoder, embedder):
    embedder.gate.clear()
    given_up = asyncio.create_task(encoder.encode("given up"))
    await until(lambda: embedder.calls == [["given up"]])
    waiting = asyncio.create_task(encoder.encode("never encoded"))
    kept = asyncio.create_task(encoder.encode("kept"))
    await asyncio.sleep(0)
    given_up.cancel()
    waiting.cancel()
    await asyncio.wait({given_up, waiting})
    embedder.gate.set()
    assert (await kept).shape == (384,)
    assert embedder.calls == [["given up"], ["kept"]]


async def test_it_must_be_started_first():
    encoder = QuestionEncoder(SimulatedEmbedder)
    with pytest.raises(RuntimeError, match="start"):
        await encoder.encode("too early")
    await encoder.stop()


class TestBetweenQuestions:
    def work(self, embedder, name):
        def encode(found):
            assert found is embedder
            embedder.calls.append([name])
            embedder.threads.add(threading.current_thread().name)
            embedder.gate.wait(10)
            return name

        return encode

    async def test_it_is_done_in_the_encoders_thread(self, encoder, embedder):
        await encoder.encode("a question")
        assert await encoder.between_questions(self.work(embedder, "texts")) == "texts"
        assert len(embedder.threads) == 1

    async def test_it_waits_until_no_question_is_left(self, encoder, embedder):
        embedder.gate.clear()
        first = asyncio.create_task(encoder.encode("first"))
        await until(lambda: embedder.calls == [["first"]])
        between = asyncio.create_task(encoder.between_questions(self.work(embedder, "texts")))
        await asyncio.sleep(0)
        second = asyncio.create_task(encoder.encode("second"))
        await asyncio.sleep(0)
        embedder.gate.set()
        await asyncio.gather(first, second, between)
        assert embedder.calls == [["first"], ["second"], ["texts"]]

    async def test_a_question_waits_for_one_of_them_and_goes_before_all_others(self, encoder, embedder):
        embedder.gate.clear()
        given_up, *others = [
            asyncio.create_task(encoder.between_questions(self.work(embedder, name))) for name in "abc"
        ]
        await until(lambda: embedder.calls == [["a"]])
        given_up.cancel()  # nobody waits for it any more, but the thread is not done with it
        await asyncio.wait({given_up})
        question = asyncio.create_task(encoder.encode("why?"))
        await until(lambda: encoder._encoding is not None)
        embedder.gate.set()
        await question
        assert await asyncio.gather(*others) == ["b", "c"]
        assert embedder.calls == [["a"], ["why?"], ["b"], ["c"]]

    async def test_what_it_raises_is_raised_and_the_next_one_is_done(self, encoder, embedder):
        def fail(_):
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await encoder.between_questions(fail)
        assert await encoder.between_questions(self.work(embedder, "next")) == "next"

    async def test_who_waits_at_the_end_or_comes_after_it_is_cancelled(self, embedder):
        encoder = QuestionEncoder(lambda: embedder)
        await encoder.start()
        embedder.calls.clear()
        embedder.gate.clear()
        waiting = [asyncio.create_task(encoder.between_questions(self.work(embedder, name))) for name in "abc"]
        await until(lambda: embedder.calls == [["a"]])
        stopping = asyncio.create_task(encoder.stop())
        await asyncio.sleep(0)
        embedder.gate.set()
        await stopping
        waiting.append(asyncio.create_task(encoder.between_questions(self.work(embedder, "late"))))
        await asyncio.wait(waiting)
        assert [task.cancelled() for task in waiting] == [False, True, True, True]
        assert embedder.calls == [["a"]]

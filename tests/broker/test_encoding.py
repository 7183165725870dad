"""Texts encoded for whoever asks: over a real broker, by stand-ins and by real retrieve workers."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import pytest

from contracts import subjects
from contracts.answers import Completed
from contracts.encoding import EncodeCode, EncodeReply, EncodeRequest, TextKind
from contracts.errors import PermanentError, TransientError
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import RetrieveSettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.encoding import (
    EncodeDesk,
    EncoderLeftError,
    EncodersBusyError,
    NotEncodedError,
    OtherDimensionError,
    OtherModelError,
    TextRefusedError,
)
from tests.broker.answering_stage import TENANT, asked, warms_up
from tests.support.encoders import encoding_office, vectors_of
from tests.support.indexes import opened_index
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until
from tests.support.workers import running
from workers.encoding.base import Passage, PassageEmbedding, Vector
from workers.encoding.simulated import SimulatedEmbedder
from workers.retrieve.text_vectors import GROUP_TEXTS
from workers.retrieve.worker import build

LOUD = "loud!"


def request(*texts: str, timeout_s: float = 20.0, **options: object) -> EncodeRequest:
    return EncodeRequest.model_validate({"texts": texts or ("bees",), "timeout_s": timeout_s, **options})


def vectors(reply: EncodeReply) -> Vector:
    return np.stack([np.frombuffer(base64.b64decode(vector), dtype="<f4") for vector in reply.vectors])


class TestDesk:
    @pytest.fixture
    def desk(self, broker: Broker) -> EncodeDesk:
        return EncodeDesk(broker)

    async def test_vectors_come_back(self, broker: Broker, desk: EncodeDesk) -> None:
        async with encoding_office(broker):
            reply = await desk.encode(request("bees", "wasps and flies"))
        np.testing.assert_array_equal(vectors(reply), SimulatedEmbedder().encode_questions(["bees", "wasps and flies"]))
        assert (reply.model, reply.tokens) == ("simulated", 4)

    async def test_nobody_there_is_known_at_once(self, desk: EncodeDesk) -> None:
        with pytest.raises(NotEncodedError, match="no retrieve worker"):
            await desk.encode(request(timeout_s=60))

    @pytest.mark.parametrize(
        "error",
        [
            TextRefusedError("it cannot be encoded", position=3),
            OtherModelError("there is no model x"),
            OtherDimensionError("not 3"),
            EncoderLeftError("it ends"),
            TransientError("the encoder is away"),
            PermanentError("it does not fit"),
        ],
    )
    async def test_why_it_failed_and_whose_fault_it_is_are_told(
        self, broker: Broker, desk: EncodeDesk, error: Exception
    ) -> None:
        async def fail(_: EncodeRequest) -> EncodeReply:
            raise error

        expected = NotEncodedError if type(error) is TransientError else type(error)
        async with encoding_office(broker, fail):
            with pytest.raises(expected, match=str(error)) as raised:
                await desk.encode(request())
        assert type(raised.value) is expected
        assert getattr(raised.value, "position", None) == getattr(error, "position", None)

    async def test_more_than_it_takes_at_once_is_refused_at_once(self, broker: Broker, desk: EncodeDesk) -> None:
        go_on = asyncio.Event()

        async def slow(asked: EncodeRequest) -> EncodeReply:
            await go_on.wait()
            return await vectors_of(SimulatedEmbedder()).reply(asked)

        async with encoding_office(broker, slow, concurrency=2):
            first = [asyncio.create_task(desk.encode(request())) for _ in range(2)]
            await asyncio.sleep(0)
            await known_to_broker(broker)
            with pytest.raises(EncodersBusyError):
                await desk.encode(request())
            go_on.set()
            await asyncio.gather(*first)
            await desk.encode(request())  # there is room again

    async def test_what_takes_too_long_is_given_up_on_both_sides(self, broker: Broker, desk: EncodeDesk) -> None:
        stopped = asyncio.Event()

        async def hang(_: EncodeRequest) -> EncodeReply:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            raise AssertionError

        async with encoding_office(broker, hang):
            with pytest.raises(EncoderLeftError, match=r"no answer within|took too long"):
                await desk.encode(request(timeout_s=0.2))
            async with asyncio.timeout(60):
                await stopped.wait()

    async def test_who_waits_for_a_worker_that_ends_is_told_at_once(self, broker: Broker, desk: EncodeDesk) -> None:
        begun = asyncio.Event()

        async def hang(_: EncodeRequest) -> EncodeReply:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with encoding_office(broker, hang) as office:
            waiting = asyncio.create_task(desk.encode(request(timeout_s=600)))
            await begun.wait()
            office.cancel()
            with pytest.raises(EncoderLeftError, match="ends"):
                await waiting

    async def test_what_cannot_be_read_is_answered_with_the_reason(self, broker: Broker) -> None:
        async with encoding_office(broker) as office:
            answered = await broker.nc.request(subjects.ENCODE, b'{"texts": []}', timeout=5)
            failure = EncodeReply.from_bytes(answered.data).failure
            assert failure is not None
            assert (failure.code, failure.retryable) == (EncodeCode.INVALID, False)
            await broker.nc.publish(subjects.ENCODE, b"{")  # nobody waits for the answer: it goes on
            await known_to_broker(broker)
            assert not office.done()

    @pytest.mark.parametrize("reply", [EncodeReply(), EncodeReply(model="m", dimension=1, vectors=("AAAA", "AAAA"))])
    async def test_an_answer_that_is_none_is_not_taken_for_one(
        self, broker: Broker, desk: EncodeDesk, reply: EncodeReply
    ) -> None:
        async def odd(_: EncodeRequest) -> EncodeReply:
            return reply

        async with encoding_office(broker, odd):
            with pytest.raises(NotEncodedError, match="1 texts with"):
                await desk.encode(request())


class Watched(SimulatedEmbedder):
    """Notes in which order texts and questions come, fails on loud ones or on all, and can be held."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.away = False
        self.gate = threading.Event()
        self.gate.set()

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        self._came([passage.text for passage in passages])
        encoded = super().encode_passages(passages)
        return [
            ValueError("too loud") if LOUD in passage.text else one
            for passage, one in zip(passages, encoded, strict=True)
        ]

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        if not warms_up(questions):
            self._came(list(questions))
        return super().encode_questions(questions)

    def _came(self, texts: list[str]) -> None:
        if self.away:
            raise ConnectionError("nobody answers")
        self.calls.append(texts)
        assert self.gate.wait(30)


class TestWorker:
    @pytest.fixture
    def settings(self, nats_server: NatsServer, tmp_path: Path) -> RetrieveSettings:
        return RetrieveSettings(
            nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path, probe_interval_s=600
        )

    @pytest.fixture
    async def index(self, settings: RetrieveSettings) -> AsyncIterator[None]:
        async with opened_index(settings):
            yield

    @pytest.fixture
    def embedder(self) -> Watched:
        return Watched()

    @pytest.fixture
    async def worker(
        self, settings: RetrieveSettings, broker: Broker, index: None, embedder: Watched
    ) -> AsyncIterator[WorkerApp]:
        async with running(build(settings, embedder=lambda: embedder)) as app:
            await listening(app)
            embedder.calls.clear()
            yield app
            embedder.gate.set()

    async def test_passages_and_questions_are_encoded(self, worker: WorkerApp, broker: Broker) -> None:
        texts = [f"bee {i}" for i in range(16)]
        for kind in TextKind:
            reply = await EncodeDesk(broker).encode(request(*texts, kind=kind))
            np.testing.assert_array_equal(vectors(reply), SimulatedEmbedder().encode_questions(texts))

    async def test_a_question_waits_for_one_small_group_at_most(
        self, worker: WorkerApp, broker: Broker, embedder: Watched
    ) -> None:
        texts = [f"text {i}" for i in range(16)]
        embedder.gate.clear()
        encoding = [asyncio.create_task(EncodeDesk(broker).encode(request(*texts))) for _ in range(4)]
        await until(lambda: embedder.calls == [texts[:GROUP_TEXTS]])
        question = QueryRequest(tenant=TENANT, query="Why?", generate=False, mode=SearchMode.VECTOR)
        answering = asyncio.create_task(asked(broker, question))
        await until(lambda: worker_has_in_hand(worker, 1))
        embedder.gate.set()
        assert isinstance((await answering)[-1], Completed)
        await asyncio.gather(*encoding)
        place = embedder.calls.index(["Why?"])
        assert place <= 2
        assert len(embedder.calls) == 1 + 4 * len(texts) // GROUP_TEXTS

    async def test_a_text_at_fault_is_named_and_the_others_can_be_encoded(
        self, worker: WorkerApp, broker: Broker
    ) -> None:
        with pytest.raises(TextRefusedError, match="too loud") as raised:
            await EncodeDesk(broker).encode(request(*["bee"] * 10, LOUD, "bee"))
        assert raised.value.position == 10
        assert len((await EncodeDesk(broker).encode(request(*["bee"] * 11))).vectors) == 11

    async def test_while_the_encoder_is_away_nothing_is_tried_and_then_it_goes_on(
        self, worker: WorkerApp, broker: Broker, embedder: Watched
    ) -> None:
        desk, embedder.away = EncodeDesk(broker), True
        for _ in range(2):  # the first opens the breaker
            with pytest.raises(NotEncodedError, match="encoder is away"):
                await desk.encode(request())
        embedder.away = False

        async def encoded() -> bool:
            try:
                return bool((await desk.encode(request())).vectors)
            except NotEncodedError:
                return False

        await until(encoded)

    async def test_of_two_workers_one_answers_and_each_does_some(
        self, settings: RetrieveSettings, broker: Broker, index: None
    ) -> None:
        embedders = [Watched(), Watched()]
        async with AsyncExitStack() as stack:
            for number, embedder in enumerate(embedders):
                own = settings.model_copy(update={"instance": f"retrieve-{number}", "encode_concurrency": 64})
                app = build(own, embedder=lambda embedder=embedder: embedder)  # type: ignore[misc]
                await listening(await stack.enter_async_context(running(app)))
                embedder.calls.clear()
            await asyncio.gather(*(EncodeDesk(broker).encode(request(f"text {i}")) for i in range(40)))
            assert sum(len(embedder.calls) for embedder in embedders) == 40
            assert all(embedder.calls for embedder in embedders)

    async def test_who_waits_for_a_worker_that_is_stopped_may_ask_another(
        self, settings: RetrieveSettings, broker: Broker, index: None, embedder: Watched
    ) -> None:
        async with running(build(settings, embedder=lambda: embedder)) as app:
            await listening(app)
            embedder.calls.clear()
            embedder.gate.clear()
            waiting = [asyncio.create_task(EncodeDesk(broker).encode(request(timeout_s=600))) for _ in range(3)]
            await until(lambda: bool(embedder.calls))
            asyncio.get_running_loop().call_later(0.2, embedder.gate.set)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, EncodeReply | EncoderLeftError) for outcome in outcomes), outcomes


async def listening(app: WorkerApp) -> None:
    """Its background work has begun by now, and the broker knows of it."""
    await asyncio.sleep(0)
    await known_to_broker(app.broker)


def worker_has_in_hand(app: WorkerApp, messages: int) -> bool:
    return app._parts.activity.in_flight == messages

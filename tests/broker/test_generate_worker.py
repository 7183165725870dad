"""The generate worker on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Delta, Failed
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.events import QueryEvent, QueryFact
from contracts.health import CheckStatus
from contracts.queries import GenerateRequest
from contracts.settings import GenerateSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerPublisher, AnswerReader, AnyEvent
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.cancellation import LOOK_AFTER_S
from messaging.events import Events
from messaging.fleet import FleetView
from messaging.queries import Queries
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.broker.answering_stage import TENANT, TEXTS, generate_request, is_told, told
from tests.support.letters import dead_letters
from tests.support.subscriptions import known_to_broker
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.generate.base import Answer, Piece, Prompt
from workers.generate.extractive import ExtractiveGenerator
from workers.generate.worker import build


@pytest.fixture
def table() -> Topology:
    return brisk(max_deliver=3)


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> GenerateSettings:
    return GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path)


@pytest.fixture
def app(settings: GenerateSettings, table: Topology, broker: Broker) -> WorkerApp:
    return build(settings, table=table)


class Stubborn(ExtractiveGenerator):
    """Says one piece, then waits or fails as it is told; after so many failures it answers."""

    def __init__(self, *, error: Exception | None = None, failures: int = 1000, waits: bool = False) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()
        self._error = error
        self._failures = failures
        self._waits = waits

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        self.begun.set()
        yield Piece(text=f"try {self._failures}")
        try:
            if self._waits:
                await asyncio.Event().wait()
        finally:
            self.stopped.set()
        self._failures -= 1
        if self._error and self._failures >= 0:
            raise self._error
        async for item in super().generate(prompt):
            yield item


async def publish(
    broker: Broker, request: GenerateRequest, *, track: str = "stable", headers: Mapping[str, str] | None = None
) -> None:
    await broker.publish(
        subjects.generate_request(TENANT, track),
        request,
        stream=topology.GENERATE,
        message_id=request.query_id,
        headers=headers,
    )


async def answered(broker: Broker, request: GenerateRequest) -> list[AnyEvent]:
    async with AnswerReader(broker).open(TENANT, request.query_id) as stream:
        await publish(broker, request)
        return [event async for event in stream.events(timeout_s=20)]


async def is_done(broker: Broker) -> bool:
    return (await broker.js.stream_info(topology.GENERATE.name)).state.messages == 0


async def test_an_answer_is_streamed_and_ends_whole_with_its_citations(app: WorkerApp, broker: Broker) -> None:
    async with running(app):
        *deltas, completed = await answered(broker, generate_request(broker))
        await until(lambda: is_told(broker, QueryFact.COMPLETED))
    assert isinstance(completed, Completed)
    assert completed.answered
    assert "".join(d.text for d in deltas if isinstance(d, Delta)) == completed.answer
    assert [d.id for d in deltas if isinstance(d, Delta)] == [f"1.{n}" for n in range(1, len(deltas) + 1)]
    assert completed.citations[0].quote == TEXTS[0]
    assert completed.usage.completion_tokens > 0
    assert completed.timings_ms["search"] == 1.0
    assert completed.timings_ms["generate"] >= 0
    [fact] = await Storage(broker).following(topology.EVENTS.name, subjects.query_event(QueryFact.COMPLETED, TENANT))
    event = QueryEvent.from_bytes(fact.data)
    assert (event.cached, event.completion_tokens) == (False, completed.usage.completion_tokens)
    assert 0 <= (event.writing_s or 0) <= completed.timings_ms["generate"] / 1000 + 0.01


async def test_an_end_is_told_although_a_look_finds_it_meanwhile(
    app: WorkerApp, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a query has ended before is looked up late: the worker may just be telling of the end that it made."""
    tell = Events.query

    async def tell_slowly(events: Events, fact: QueryFact, **details: Any) -> None:
        await asyncio.sleep(20 * LOOK_AFTER_S)
        await tell(events, fact, **details)

    monkeypatch.setattr(Events, "query", tell_slowly)
    async with running(app):
        await answered(broker, generate_request(broker).model_copy(update={"stream": False}))
        await until(lambda: is_told(broker, QueryFact.COMPLETED))


async def test_an_answer_that_nobody_streams_comes_in_one_piece(app: WorkerApp, broker: Broker) -> None:
    async with running(app):
        events = await answered(broker, generate_request(broker).model_copy(update={"stream": False}))
    assert [type(event) for event in events] == [Completed]
    assert isinstance(events[0], Completed)
    assert events[0].answered


async def test_parameters_reach_the_generator(app: WorkerApp, broker: Broker) -> None:
    async with running(app):
        *_, completed = await answered(broker, generate_request(broker, max_tokens=3))
    assert isinstance(completed, Completed)
    assert completed.usage.completion_tokens == 3


async def test_a_generation_that_fails_once_is_tried_again_and_its_first_pieces_are_void(
    settings: GenerateSettings, table: Topology, broker: Broker
) -> None:
    generator = Stubborn(error=TransientError("away", retry_after_s=0.05), failures=1)
    async with running(build(settings, generator=generator, table=table)):
        *deltas, completed = await answered(broker, generate_request(broker))
    assert isinstance(completed, Completed)
    assert {d.id.split(".")[0] for d in deltas if isinstance(d, Delta)} >= {"2"}


async def test_one_that_was_put_into_its_queue_anew_voids_what_was_said_before(app: WorkerApp, broker: Broker) -> None:
    request = generate_request(broker)
    before = Delta(tenant=TENANT, query_id=request.query_id, id="4.1", text="It was ")
    answers = AnswerPublisher(broker)
    async with running(app), AnswerReader(broker).open(TENANT, request.query_id) as stream:
        await answers.delta(before)
        await answers.flush(TENANT, request.query_id)
        await publish(broker, request, headers={subjects.HEADER_REQUEUED: "1-1"})
        *deltas, completed = [event async for event in stream.events(timeout_s=20)]
    assert isinstance(completed, Completed)
    assert "".join(d.text for d in deltas if isinstance(d, Delta) and d.id != before.id) == completed.answer


@pytest.mark.parametrize(
    ("error", "retryable"), [(PermanentError("no model"), False), (TransientError("away", retry_after_s=0.05), True)]
)
async def test_a_generation_that_cannot_succeed_ends_the_query_with_the_reason_and_whether_to_ask_again(
    settings: GenerateSettings, table: Topology, broker: Broker, error: Exception, retryable: bool
) -> None:
    async with running(build(settings, generator=Stubborn(error=error), table=table)):
        *_, failed = await answered(broker, generate_request(broker))
        await until(lambda: is_told(broker, QueryFact.FAILED))
        await until(lambda: is_done(broker))
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == (ErrorCode.GENERATION_FAILED, retryable)
    assert str(error) in failed.message
    assert len(await dead_letters(broker)) == 1


async def test_a_withdrawn_query_stops_its_generation(
    settings: GenerateSettings, table: Topology, broker: Broker
) -> None:
    generator, request = Stubborn(waits=True), generate_request(broker)
    async with running(build(settings, generator=generator, table=table)):
        await publish(broker, request)
        await generator.begun.wait()
        await Queries(broker).cancel(TENANT, request.query_id)
        await asyncio.wait_for(generator.stopped.wait(), 60)
        await until(lambda: is_done(broker))
    assert isinstance(await Terminals(broker).find(TENANT, request.query_id), Cancelled)
    assert await told(broker, QueryFact.COMPLETED) == 0
    assert await dead_letters(broker) == []


async def test_a_generation_that_reaches_its_deadline_is_stopped_and_said_so(
    settings: GenerateSettings, table: Topology, broker: Broker
) -> None:
    generator = Stubborn(waits=True)
    async with running(build(settings, generator=generator, table=table)):
        *_, failed = await answered(broker, generate_request(broker, left_s=0.3))
        await asyncio.wait_for(generator.stopped.wait(), 60)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.retryable) == (ErrorCode.DEADLINE_EXCEEDED, True)


async def test_a_question_found_past_its_deadline_is_not_worked_on(
    settings: GenerateSettings, table: Topology, broker: Broker
) -> None:
    generator = Stubborn()
    async with running(build(settings, generator=generator, table=table)):
        *_, failed = await answered(broker, generate_request(broker, left_s=-1))
        await until(lambda: is_done(broker))
    assert isinstance(failed, Failed)
    assert failed.code == ErrorCode.DEADLINE_EXCEEDED
    assert not generator.begun.is_set()
    assert await dead_letters(broker) == []


async def test_a_canary_answers_its_own_track_only(settings: GenerateSettings, table: Topology, broker: Broker) -> None:
    canary, stable = generate_request(broker), generate_request(broker)
    own = settings.model_copy(update={"track": "canary"})
    async with running(build(own, table=table)):
        await publish(broker, stable)
        await publish(broker, canary, track="canary")
        await until(lambda: is_told(broker, QueryFact.COMPLETED))
    assert await Terminals(broker).find(TENANT, canary.query_id) is not None
    assert await Terminals(broker).find(TENANT, stable.query_id) is None


async def test_a_generator_that_never_answers_is_an_error_of_its_own(
    settings: GenerateSettings, table: Topology, broker: Broker
) -> None:
    class Silent(ExtractiveGenerator):
        async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
            yield Piece(text="so")

    async with running(build(settings, generator=Silent(), table=brisk(max_deliver=1))):
        *_, failed = await answered(broker, generate_request(broker))
    assert isinstance(failed, Failed)
    assert "without an answer" in failed.message


async def test_its_heartbeats_tell_who_answers(app: WorkerApp, broker: Broker) -> None:
    view = FleetView(broker)
    await view.start()
    async with running(app):
        told = {"model": "extractive", "parameters": "sentences 3", "config_revision": "0"}
        await until(lambda: [member.heartbeat.facts for member in view.members()] == [told])
    await view.stop()


async def test_a_generator_that_cannot_go_on_ends_its_worker_which_says_why(
    settings: GenerateSettings, broker: Broker
) -> None:
    class Dying(ExtractiveGenerator):
        async def run(self) -> None:
            await asyncio.sleep(0.2)
            raise RuntimeError("the engine is dead")

    view = FleetView(broker, service="generate")
    await view.start()
    code = await build(settings, generator=Dying()).run(handle_signals=False)
    assert code == 1
    await known_to_broker(broker)
    (member,) = view.members()
    (check,) = [check for check in member.heartbeat.checks if check.name == "generator"]
    assert check.status == CheckStatus.FAILING
    assert "the engine is dead" in check.detail
    await view.stop()

"""Generate workers with vLLM as real processes on a real broker: two replicas, killed, cancelled, out of time."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import pytest

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Delta, Failed
from contracts.errors import ErrorCode
from contracts.queries import GenerateRequest, GenerationParameters
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader, AnswerStream, AnyEvent
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.queries import Queries
from tests.broker.answering_stage import TENANT, generate_request
from tests.support.language_models import require_vllm
from tests.support.processes import Running, started
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(1500), pytest.mark.alone]
READY_S = 600.0
"""Loading takes a minute of processor time for each on an idle machine; on a busy one many times that."""
PATIENCE_S = 280.0
"""For an answer that is begun anew after its worker died: on a busy machine a token takes half a second."""
LONG = 400


@asynccontextmanager
async def replicas(count: int, nats_server: NatsServer, folder: Path, broker: Broker) -> AsyncIterator[list[Running]]:
    """So many workers that are ready, named `generate-0` and on."""
    environment = {
        "WAGGLE_NATS_URL": nats_server.url,
        "WAGGLE_GENERATOR": "vllm",
        "WAGGLE_GENERATOR_MODEL": str(folder),
        "WAGGLE_VLLM_MAX_MODEL_LEN": "2048",
        "WAGGLE_VLLM_MAX_NUM_SEQS": "4",
        "WAGGLE_VLLM_ENFORCE_EAGER": "true",
        "WAGGLE_VLLM_DTYPE": "bfloat16",
        "WAGGLE_DRAIN_TIMEOUT_S": "5",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                started("cli", "worker", "generate", **environment, WAGGLE_INSTANCE=f"generate-{n}")
            )
            for n in range(count)
        ]
        view = FleetView(broker)
        await view.start()

        def ready() -> bool:
            assert all(worker.process.returncode is None for worker in workers), [w.errors[-5:] for w in workers]
            return sum(member.alive and member.heartbeat.state == "ready" for member in view.members()) == count

        await until(ready, timeout_s=READY_S, what=f"{count} workers ready")
        yield workers


@asynccontextmanager
async def asked(broker: Broker, request: GenerateRequest) -> AsyncIterator[AnswerStream]:
    """Hand a request to the workers and listen to its answer."""
    async with AnswerReader(broker).open(TENANT, request.query_id) as stream:
        await broker.publish(
            subjects.generate_request(TENANT), request, stream=topology.GENERATE, message_id=request.query_id
        )
        yield stream


def long_request(broker: Broker, *, left_s: float = PATIENCE_S) -> GenerateRequest:
    """One that the model goes on about: nothing but `max_tokens` stops it soon."""
    return generate_request(broker, left_s=left_s).model_copy(
        update={
            "query": "Tell a very long story about the winter stores, with every detail.",
            "generation": GenerationParameters(max_tokens=LONG, temperature=1.0, seed=1),
        }
    )


async def first_piece(events: AsyncIterator[AnyEvent]) -> Delta:
    async for event in events:
        if isinstance(event, Delta):
            return event
    raise AssertionError("the answer ended before its first piece")


async def the_end(events: AsyncIterator[AnyEvent]) -> tuple[list[Delta], AnyEvent]:
    seen = [event async for event in events]
    return [event for event in seen if isinstance(event, Delta)], seen[-1]


def engines(worker: Running) -> list[psutil.Process]:
    """The processes that the engine of a worker consists of."""
    return psutil.Process(worker.process.pid).children(recursive=True)


async def is_idle(broker: Broker) -> bool:
    return (await broker.js.stream_info(topology.GENERATE.name)).state.messages == 0


async def test_two_replicas_answer_and_survive_what_kills_one(
    nats_server: NatsServer, smollm2: Path, broker: Broker
) -> None:
    """One test for all, since it takes long to load models: each part leaves things as the next one needs them."""
    require_vllm()
    async with replicas(2, nats_server, smollm2, broker) as workers:
        await answers_carry_their_model_and_prompt(broker)
        await eight_questions_are_answered_at_once(broker)
        await a_cancelled_question_stops(broker, workers)
        await a_deadline_ends_an_answer(broker, workers)
        await a_dead_engine_ends_its_worker_and_another_one_answers(broker, workers)


async def answers_carry_their_model_and_prompt(broker: Broker) -> None:
    async with asked(broker, generate_request(broker, left_s=60)) as answer:
        pieces, end = await the_end(answer.events(timeout_s=60))
    assert isinstance(end, Completed)
    assert end.model == "SmolLM2-135M-Instruct"
    assert end.prompt_version is not None
    assert end.prompt_version.startswith("waggle-1@")
    assert end.usage.prompt_tokens > 100
    assert "".join(piece.text for piece in pieces) == end.answer
    for citation in end.citations:
        assert f"[{citation.n}]" in (end.answer or "")


async def eight_questions_are_answered_at_once(broker: Broker) -> None:
    async def answered() -> AnyEvent:
        async with asked(broker, generate_request(broker, left_s=PATIENCE_S)) as answer:
            return (await the_end(answer.events(timeout_s=PATIENCE_S)))[1]

    ends = await asyncio.gather(*(answered() for _ in range(8)))
    assert all(isinstance(end, Completed) for end in ends)


async def a_cancelled_question_stops(broker: Broker, workers: list[Running]) -> None:
    request = long_request(broker)
    async with asked(broker, request) as answer:
        events = answer.events(timeout_s=PATIENCE_S)
        await first_piece(events)
        assert await Queries(broker).cancel(TENANT, request.query_id)
        _, end = await the_end(events)
    assert isinstance(end, Cancelled)
    await until(lambda: is_idle(broker), what="the cancelled message is done")
    await engines_rest(workers)


async def a_deadline_ends_an_answer(broker: Broker, workers: list[Running]) -> None:
    """However long the first token takes here: one of the deadlines passes between it and the last."""
    pieces = list[Delta]()
    for left_s in (2.0, 4.0, 8.0, 16.0, 32.0):
        async with asked(broker, long_request(broker, left_s=left_s)) as answer:
            pieces, end = await the_end(answer.events(timeout_s=60))
        assert isinstance(end, Failed)
        assert end.code == ErrorCode.DEADLINE_EXCEEDED
        if pieces:
            break
    assert pieces
    await until(lambda: is_idle(broker), what="the late message is done")
    await engines_rest(workers)


async def a_dead_engine_ends_its_worker_and_another_one_answers(broker: Broker, workers: list[Running]) -> None:
    async with asked(broker, long_request(broker)) as answer:
        events = answer.events(timeout_s=PATIENCE_S)
        await first_piece(events)
        busy = await the_busy_one(workers)
        for process in engines(busy):
            if "EngineCore" in process.name() or "EngineCore" in " ".join(process.cmdline()):
                process.kill()
        pieces, end = await the_end(events)
    assert isinstance(end, Completed), end
    assert max(int(piece.id.partition(".")[0]) for piece in pieces) >= 2  # a new attempt of the other replica
    assert await busy.ends() == 1
    (survivor,) = [worker for worker in workers if worker is not busy]
    await kill_nine_leaves_nothing_behind(survivor)


async def kill_nine_leaves_nothing_behind(worker: Running) -> None:
    processes = engines(worker)
    assert processes
    worker.signal(signal.SIGKILL)
    await worker.ends()
    await until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes), timeout_s=60)


async def the_busy_one(workers: list[Running]) -> Running:
    """The worker whose engine works."""
    while True:
        for worker in workers:
            if await _works(worker):
                return worker


async def engines_rest(workers: list[Running]) -> None:
    """Wait until no engine works any more."""

    async def rest() -> bool:
        return not any([await _works(worker) for worker in workers])

    await until(rest, timeout_s=30, what="no engine works")


async def _works(worker: Running) -> bool:
    def spent() -> float:
        return sum(p.cpu_times().user for p in engines(worker))

    before = spent()
    await asyncio.sleep(0.5)
    return spent() - before > 0.25


async def test_a_worker_that_cannot_load_its_model_ends_with_the_code_for_settings(
    nats_server: NatsServer, broker: Broker
) -> None:
    require_vllm()
    environment = {"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_GENERATOR": "vllm"}
    async with started("cli", "worker", "generate", **environment) as worker:
        async with asyncio.timeout(PATIENCE_S):
            assert await worker.process.wait() == 2
        assert any("WAGGLE_GENERATOR_MODEL" in line for line in worker.lines + worker.errors)

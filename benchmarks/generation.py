"""vLLM through the generate worker against the bare engine, in turns, with the same prompts.

The model is so small that what Waggle adds to each token shows more than with any real one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.bare_engine import BareEngine, Run, bare_engine
from benchmarks.corpus import sample_texts
from benchmarks.figures import Figure, against, percentile
from contracts import subjects, topology
from contracts.answers import Completed, Delta
from contracts.health import ProcessState
from contracts.identifiers import new_id
from contracts.queries import GenerateRequest, GenerationParameters, RetrievedPassage
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.answers import AnswerReader
from messaging.broker import Broker
from messaging.fleet import FleetView
from messaging.provisioning import provision
from tests.support.language_models import write_folder
from tests.support.waiting import until
from workers.generate.base import Prompt
from workers.generate.chat.prompting import Prompting
from workers.generate.chat.template import PromptTemplate

TOKENS = 96
ALONE = 12
TOGETHER = 8
ROUNDS = 4
READY_S = 600.0
DEADLINE = timedelta(seconds=200)
ADDED_BAR = "<= 12"
"""10 ms and a hop of the broker, which is about 2."""
ENGINE = {"max_model_len": 2048, "max_num_seqs": TOGETHER, "enforce_eager": True, "dtype": "bfloat16"}


Ask = Callable[[int], Awaitable[Run]]


async def measure() -> list[Figure]:
    """Tokens per second with 1 and with 8 questions at once, and what is added to the time to the first token."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    with TemporaryDirectory(prefix="waggle-bench-") as folder:
        model_folder = write_folder(Path(folder) / "SmolLM2-135M-Instruct")
        with NatsServer(Path(folder) / "nats") as server:
            broker = await Broker.connect(BrokerSettings(nats_url=server.url), name="bench", on_closed=lambda: None)
            try:
                await provision(broker)
                async with _worker(broker, server.url, model_folder), bare_engine(model_folder, **ENGINE) as engine:
                    return await _figures(_through_worker(broker), await _bare(engine))
            finally:
                await broker.close()


async def _figures(ours: Ask, bare: Ask) -> list[Figure]:
    for ask in (ours, bare):
        await ask(0)
    alone: dict[Ask, list[Run]] = {ours: [], bare: []}
    together: dict[Ask, list[float]] = {ours: [], bare: []}
    for number in range(ALONE):
        for ask in (ours, bare) if number % 2 else (bare, ours):
            alone[ask].append(await ask(number))
    for number in range(ROUNDS):
        for ask in (ours, bare) if number % 2 else (bare, ours):
            together[ask].append(await _at_once(ask))
    added = [a.first_s - b.first_s for a, b in zip(alone[ours], alone[bare], strict=True)]
    return [
        against("vllm_tokens_per_s_1", _rate(alone[ours]), _rate(alone[bare]), unit="tokens/s", bar=">= 0.95"),
        against(
            f"vllm_tokens_per_s_{TOGETHER}",
            percentile(together[ours], 0.5),
            percentile(together[bare], 0.5),
            unit="tokens/s",
            bar=">= 0.95",
        ),
        Figure(name="vllm_first_token_added_p50", value=percentile(added, 0.5) * 1000, unit="ms", bar=ADDED_BAR),
    ]


def _rate(runs: Sequence[Run]) -> float:
    return percentile([run.tokens / run.whole_s for run in runs], 0.5)


async def _at_once(ask: Ask) -> float:
    begun = time.perf_counter()
    runs = await asyncio.gather(*(ask(number) for number in range(TOGETHER)))
    return sum(run.tokens for run in runs) / (time.perf_counter() - begun)


def _request(number: int) -> Prompt:
    texts = [document.text[:900] for document in sample_texts()]
    passages = [
        RetrievedPassage(
            chunk_id=f"c{n}", document_id=f"d{n}", generation="g", name=f"{n}.txt", ordinal=0,
            text=texts[(number + n) % len(texts)], score=0.5, start=0, end=900,
        )
        for n in range(2)
    ]  # fmt: skip
    return Prompt(
        query=f"Tell at length what passage {number % 2 + 1} is about, with every detail.",
        passages=passages,
        parameters=GenerationParameters(max_tokens=TOKENS, temperature=0.0),
        encoder_serves_query=True,
    )


def _through_worker(broker: Broker) -> Ask:
    async def ask(number: int) -> Run:
        prompt, query_id = _request(number), new_id()
        request = GenerateRequest(
            query_id=query_id,
            query=prompt.query,
            passages=tuple(prompt.passages),
            generation=prompt.parameters,
            deadline=broker.clock.now() + DEADLINE,
        )
        first_s: float | None = None
        async with AnswerReader(broker).open(request.tenant, query_id) as answer:
            begun = time.perf_counter()
            await broker.publish(
                subjects.generate_request(request.tenant), request, stream=topology.GENERATE, message_id=query_id
            )
            async for event in answer.events(timeout_s=DEADLINE.total_seconds()):
                if isinstance(event, Delta) and first_s is None:
                    first_s = time.perf_counter() - begun
                elif isinstance(event, Completed):
                    return Run(
                        first_s=first_s or 0.0,
                        whole_s=time.perf_counter() - begun,
                        tokens=event.usage.completion_tokens,
                    )
        raise RuntimeError("the worker did not answer")

    return ask


async def _bare(engine: BareEngine) -> Ask:
    """The engine's own stream for the very prompts of the worker, made beforehand."""
    prompting = Prompting(engine, PromptTemplate.read())
    prompts = [
        engine.prompt((await prompting.conversation(_request(number), max_tokens=TOKENS)).messages)
        for number in range(max(ALONE, TOGETHER))
    ]

    async def ask(number: int) -> Run:
        return await engine.run(prompts[number % len(prompts)], max_tokens=TOKENS)

    return ask


@asynccontextmanager
async def _worker(broker: Broker, nats_url: str, folder: Path) -> AsyncIterator[None]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WAGGLE_")}
    environment = {
        **inherited,
        **{f"WAGGLE_VLLM_{name.upper()}": str(value) for name, value in ENGINE.items()},
        "WAGGLE_NATS_URL": nats_url,
        "WAGGLE_GENERATOR": "vllm",
        "WAGGLE_GENERATOR_MODEL": str(folder),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "cli", "worker", "generate"),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    view = FleetView(broker, service="generate")
    await view.start()
    try:
        await until(
            lambda: any(m.heartbeat.state is ProcessState.READY for m in view.members()),
            timeout_s=READY_S,
            what="the worker has loaded its model",
        )
        yield
    finally:
        await view.stop()
        process.terminate()
        await process.wait()

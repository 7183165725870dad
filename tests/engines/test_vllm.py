"""vLLM's engine with a real model, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.errors import PermanentError
from contracts.generator_settings import VllmSettings
from tests.support.language_models import require_vllm
from tests.support.waiting import until
from workers.generate.chat.model import ChatMessage, FinishReason, ReplyEnd, ReplyText, Role, Sampling
from workers.generate.chat.vllm_model import VllmModel

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # of torch's own names, which vLLM looks through
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
CONTEXT = 1024
CAPITALS = {"France": "Paris", "Germany": "Berlin", "Japan": "Tokyo", "Italy": "Rome"}
"""Which of them so small a model knows depends on how the processor rounds; it knows most."""


def settings(folder: Path | None, **others: Any) -> VllmSettings:
    return VllmSettings(
        generator_model=str(folder) if folder else None,
        vllm_max_model_len=CONTEXT,
        vllm_max_num_seqs=8,
        vllm_enforce_eager=True,
        vllm_dtype="bfloat16",
        **others,
    )


@pytest.fixture(scope="module")
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def model(smollm2: Path, reader: InMemoryMetricReader) -> AsyncIterator[VllmModel]:
    require_vllm()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        model = VllmModel(settings(smollm2))
        await model.start(MeterProvider([reader]).get_meter("test"))
        yield model
        await model.close()


async def reply(
    model: VllmModel, text: str, *, max_tokens: int = 40, system: str | None = None, **sampling: Any
) -> tuple[str, ReplyEnd, int]:
    """What the model says, how it ended, and in how many pieces."""
    messages = [ChatMessage(role=Role.SYSTEM, content=system)] if system else []
    messages.append(ChatMessage(role=Role.USER, content=text))
    wanted = Sampling(**{"max_tokens": max_tokens, "temperature": 0.0, **sampling})
    items = [item async for item in model.reply(messages, wanted)]
    assert isinstance(items[-1], ReplyEnd)
    texts = [item.text for item in items[:-1] if isinstance(item, ReplyText)]
    return "".join(texts), items[-1], len(texts)


def capital_of(country: str) -> str:
    return f"What is the capital of {country}?"


async def test_a_reply_comes_in_pieces_and_ends_with_its_usage(model: VllmModel) -> None:
    replies = {capital: await reply(model, capital_of(country)) for country, capital in CAPITALS.items()}
    right = [reply for capital, reply in replies.items() if capital in reply[0]]
    assert len(right) >= 2
    _, end, pieces = next(reply for reply in right if reply[1].finish_reason is FinishReason.STOP)
    assert pieces > 1
    assert end.usage.completion_tokens >= pieces
    assert end.usage.prompt_tokens > 10
    assert (model.name, model.context_tokens) == ("SmolLM2-135M-Instruct", CONTEXT)


async def test_what_the_system_says_is_part_of_the_prompt(model: VllmModel) -> None:
    _, alone, _ = await reply(model, "Hello.", system="Be brief.", max_tokens=4)
    _, longer, _ = await reply(model, "Hello.", system="Be brief. " * 20, max_tokens=4)
    assert longer.usage.prompt_tokens > alone.usage.prompt_tokens + 30


async def test_the_most_tokens_end_a_reply(model: VllmModel) -> None:
    _, end, _ = await reply(model, "Tell a long story about bees.", max_tokens=7)
    assert (end.finish_reason, end.usage.completion_tokens) == (FinishReason.LENGTH, 7)


async def test_a_stop_sequence_ends_a_reply_and_is_not_said(model: VllmModel) -> None:
    whole, _, _ = await reply(model, "What is the capital of France?")
    stop = whole[len(whole) // 2 :].split()[0]
    said, end, _ = await reply(model, "What is the capital of France?", stop=(stop,))
    assert whole.startswith(said)
    assert stop not in said
    assert end.finish_reason is FinishReason.STOP


async def test_the_same_seed_says_the_same(model: VllmModel) -> None:
    def story(seed: int) -> Any:
        return reply(model, "Tell a story.", temperature=1.2, seed=seed, max_tokens=24)

    first, again, other = [(await story(seed))[0] for seed in (4, 4, 5)]
    assert first == again
    assert first != other


async def test_tokens_are_counted_as_the_model_counts_them(model: VllmModel) -> None:
    assert await model.count_tokens([]) == []
    short, long, empty = await model.count_tokens(["bees", "bees " * 50, ""])
    assert 0 < short < 5
    assert 45 <= long <= 110
    assert empty == 0
    _, end, _ = await reply(model, "bees " * 50, max_tokens=1)
    assert long <= end.usage.prompt_tokens <= long + 60


async def test_a_reply_that_nobody_reads_any_more_leaves_the_engine(model: VllmModel) -> None:
    message = ChatMessage(role=Role.USER, content="Tell a very long story.")
    async with aclosing(model.reply([message], Sampling(max_tokens=800, temperature=0.0))) as items:
        await anext(items)
        assert model._engine.get_num_unfinished_requests() == 1
    assert model._engine.get_num_unfinished_requests() == 0


async def test_a_reply_whose_reader_is_cancelled_leaves_the_engine(model: VllmModel) -> None:
    reading = asyncio.create_task(reply(model, "Tell a very long story.", max_tokens=800))
    await until(lambda: model._engine.get_num_unfinished_requests() == 1)
    reading.cancel()
    await asyncio.wait({reading})
    await until(lambda: model._engine.get_num_unfinished_requests() == 0)


async def test_many_replies_are_made_at_once_and_not_mixed_up(model: VllmModel) -> None:
    questions = [capital_of(country) for country in CAPITALS] * 2
    alone = [(await reply(model, question))[0] for question in questions[:4]]
    together = [said for said, _, _ in await asyncio.gather(*(reply(model, question) for question in questions))]
    for said, before, capital in zip(together, alone * 2, list(CAPITALS.values()) * 2, strict=True):
        assert (capital in said) == (capital in before)
    assert sum(capital in said for said, capital in zip(together, list(CAPITALS.values()) * 2, strict=True)) >= 4


async def test_a_conversation_that_is_too_long_is_refused_for_good(model: VllmModel) -> None:
    before = (await reply(model, capital_of("France")))[:2]
    with pytest.raises(PermanentError, match="refuses"):
        await reply(model, "word " * (2 * CONTEXT))
    assert (await reply(model, capital_of("France")))[:2] == before


async def test_it_measures_itself_as_the_conventions_say(model: VllmModel, reader: InMemoryMetricReader) -> None:
    instructions = "You answer questions about bees, and you never make anything up. " * 24
    for question in ("Do bees dance?", "Do bees sing?"):  # the second finds what the first one made of the instructions
        await reply(model, question, system=instructions, max_tokens=4)
    await model.look()
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    for name in (
        "gen_ai.server.time_to_first_token",
        "gen_ai.server.time_per_output_token",
        "gen_ai.server.request.duration",
        "waggle.vllm.queue.duration",
    ):
        (point,) = metrics[name].data.data_points
        assert getattr(point, "count", 0) > 0, name
        assert dict(point.attributes or {}) == {"gen_ai.request.model": "SmolLM2-135M-Instruct"}
    for name in ("running", "waiting"):
        assert f"waggle.vllm.requests.{name}" in metrics
    assert "waggle.vllm.kv_cache.usage" in metrics
    (cached,) = metrics["waggle.vllm.prefix_cache.tokens"].data.data_points
    assert getattr(cached, "value", 0) > 0


@pytest.mark.parametrize(
    ("others", "complaint"),
    [
        ({"vllm_engine_args": {"no_such_argument": 1}}, "no_such_argument"),
        ({"vllm_dtype": "float7"}, "float7"),
        ({"generator_model": "/nowhere/model"}, "/nowhere/model"),
        ({"generator_model": None}, "WAGGLE_GENERATOR_MODEL"),
    ],
)
async def test_settings_that_do_not_fit_are_refused_with_their_name(
    smollm2: Path, others: dict[str, Any], complaint: str
) -> None:
    require_vllm()
    wrong = settings(smollm2).model_copy(update=others)
    with pytest.raises(PermanentError, match=complaint) as refused:
        await VllmModel(wrong).start(MeterProvider().get_meter("test"))
    assert "WAGGLE_" in str(refused.value)


async def test_a_dead_engine_is_noticed(smollm2: Path, model: VllmModel) -> None:
    """The last test of this file: nothing brings the engine back."""
    import psutil

    watching = asyncio.create_task(model.run())
    for process in psutil.Process().children(recursive=True):
        if "EngineCore" in " ".join([process.name(), *process.cmdline()]):
            process.kill()
    with pytest.raises(RuntimeError, match="SmolLM2-135M-Instruct is dead"):
        async with asyncio.timeout(60):
            await watching

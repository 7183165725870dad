"""vLLM as one would call it without Waggle: its engine, its tokenizer, its stream."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.inputs import TokensPrompt
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM

from contracts.identifiers import new_id
from workers.generate.chat.model import ChatMessage


@dataclass(frozen=True, kw_only=True)
class Run:
    """One answer: seconds to its first text, seconds in all, and tokens written."""

    first_s: float
    whole_s: float
    tokens: int


class BareEngine:
    """`name`, `context_tokens` and `count_tokens` are what it takes to write the prompts of a worker beforehand."""

    def __init__(self, engine: AsyncLLM, name: str) -> None:
        self.name = name
        self._engine = engine
        self._tokenizer: Any = engine.get_tokenizer()

    @property
    def context_tokens(self) -> int:
        return int(self._engine.model_config.max_model_len)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(self._tokenizer.encode(text, add_special_tokens=False)) for text in texts]

    def prompt(self, messages: Sequence[ChatMessage]) -> TokensPrompt:
        told = [{"role": message.role.value, "content": message.content} for message in messages]
        text = self._tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        return TokensPrompt(prompt_token_ids=self._tokenizer.encode(text, add_special_tokens=False))

    async def run(self, prompt: TokensPrompt, *, max_tokens: int) -> Run:
        sampling = SamplingParams(max_tokens=max_tokens, temperature=0.0, output_kind=RequestOutputKind.DELTA)
        begun, first_s, tokens = time.perf_counter(), 0.0, 0
        async for output in self._engine.generate(prompt, sampling, request_id=new_id()):
            (said,) = output.outputs
            tokens += len(said.token_ids)
            if said.text and not first_s:
                first_s = time.perf_counter() - begun
        return Run(first_s=first_s, whole_s=time.perf_counter() - begun, tokens=tokens)


@asynccontextmanager
async def bare_engine(folder: Path, **arguments: Any) -> AsyncIterator[BareEngine]:
    """The engine with `arguments`, without its statistics."""
    engine = await asyncio.to_thread(
        lambda: AsyncLLM.from_engine_args(AsyncEngineArgs(model=str(folder), disable_log_stats=True, **arguments))
    )
    try:
        yield BareEngine(engine, folder.name)
    finally:
        await asyncio.to_thread(engine.shutdown, 8.0)
        gc.collect()

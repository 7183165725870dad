"""A language model in this process: vLLM's engine, which answers many questions at once."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import structlog
from opentelemetry.metrics import Meter

from contracts.answers import Usage
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.generator_settings import VllmSettings
from contracts.identifiers import new_id
from workers.generate.chat.model import ChatMessage, FinishReason, ReplyEnd, ReplyText, Role, Sampling

WATCH_INTERVAL_S = 1.0
"""How soon a dead engine is noticed when no reply is under way; the engine raises no event for it."""
CLOSE_TIMEOUT_S = 8.0
MOST_SAID = 400
LEAST = (ChatMessage(role=Role.USER, content="Hi"),)

log = structlog.get_logger(__name__)


class EngineDiedError(RuntimeError):
    """The engine cannot be brought back within this process."""


class VllmModel:
    """A model that vLLM has loaded. Replies that are under way share its batches.

    Closing a reply takes its request out of the engine at once. When the engine dies every reply is a `TransientError`
    and `run` raises: the process ends, and whoever supervises it starts a new one.
    """

    def __init__(self, settings: VllmSettings) -> None:
        self._settings = settings
        self._engine: Any = None
        self._tokenizer: Any = None

    @property
    def name(self) -> str:
        """The name of the model, or of its folder."""
        return Path(self._settings.generator_model or "").name

    @property
    def endpoints(self) -> None:
        return None

    @property
    def context_tokens(self) -> int:
        return int(self._loaded.model_config.max_model_len)

    async def start(self, meter: Meter) -> None:
        """Load the model: takes from half a minute to several. Raises `PermanentError` for settings that do not fit."""
        if not self._settings.generator_model:
            raise PermanentError(
                "WAGGLE_GENERATOR=vllm needs WAGGLE_GENERATOR_MODEL, the name or folder of a model, such as "
                "Qwen/Qwen3-8B"
            )
        log.info("loading the model", model=self.name)
        self._engine = await asyncio.to_thread(self._load, meter)
        self._tokenizer = self._engine.get_tokenizer()
        if not self._tokenizer.chat_template:
            raise PermanentError(
                f"{self.name} has no chat template: WAGGLE_GENERATOR_MODEL must name an instruction-tuned model"
            )
        log.info("model loaded", model=self.name, context_tokens=self.context_tokens)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """As its own tokenizer counts."""
        return (
            [len(ids) for ids in self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]] if texts else []
        )

    async def reply(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        from vllm.exceptions import VLLMValidationError
        from vllm.inputs import TokensPrompt

        prompt, usage, reason = TokensPrompt(prompt_token_ids=self._prompt(messages)), Usage(), FinishReason.STOP
        try:
            outputs = self._loaded.generate(prompt, self._parameters(sampling), request_id=new_id())
            async with aclosing(outputs):
                async for output in outputs:
                    (said,) = output.outputs
                    usage = Usage(
                        prompt_tokens=len(output.prompt_token_ids or ()),
                        completion_tokens=usage.completion_tokens + len(said.token_ids),
                    )
                    if said.text:
                        yield ReplyText(text=said.text)
                    if said.finish_reason == "length":
                        reason = FinishReason.LENGTH
        except (ValueError, VLLMValidationError) as error:
            raise PermanentError(
                f"{self.name} refuses the question: {error}", code=ErrorCode.GENERATION_FAILED
            ) from error
        except Exception as error:
            raise TransientError(f"the engine of {self.name} failed: {error}") from error
        yield ReplyEnd(finish_reason=reason, usage=usage)

    async def look(self) -> None:
        """Have one token made."""
        async with aclosing(self.reply(LEAST, Sampling(max_tokens=1, temperature=0.0))) as reply:
            async for _ in reply:
                pass

    async def run(self) -> None:
        """Watch over the engine until cancelled. Raises `EngineDiedError` when it is dead."""
        while not self._loaded.errored:  # noqa: ASYNC110 (the engine has a flag, and no event)
            await asyncio.sleep(WATCH_INTERVAL_S)
        raise EngineDiedError(f"the engine of {self.name} is dead: this process ends, so that a new one is started")

    async def close(self) -> None:
        """End the engine and its processes."""
        if self._engine is not None:
            await asyncio.to_thread(self._engine.shutdown, CLOSE_TIMEOUT_S)
            self._engine = None
            gc.collect()  # the engine is part of a cycle, and complains when the interpreter ends before it is collected

    @property
    def _loaded(self) -> Any:
        if self._engine is None:
            raise RuntimeError("the model is not there yet: await start() first")
        return self._engine

    def _load(self, meter: Meter) -> Any:
        # The engine runs in processes of its own. They are not forked: this one has threads and an open connection.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise PermanentError(
                f"WAGGLE_GENERATOR=vllm needs vLLM ({error}): in the folder of Waggle, "
                "uv pip install -e '.[local,vllm]', or choose another generator"
            ) from error
        from workers.generate.chat.vllm_stats import stat_logger

        try:
            arguments = AsyncEngineArgs(**self._arguments())
            return AsyncLLM.from_engine_args(arguments, stat_loggers=[stat_logger(meter, self.name)])
        except (TypeError, ValueError, OSError) as error:
            raise PermanentError(
                f"the model {self._settings.generator_model} (WAGGLE_GENERATOR_MODEL) cannot be loaded with these "
                f"WAGGLE_VLLM_ settings: {_briefly(error)}"
            ) from error

    def _arguments(self) -> dict[str, Any]:
        settings = self._settings
        named = {
            "model": settings.generator_model,
            "max_model_len": settings.vllm_max_model_len,
            "max_num_seqs": settings.vllm_max_num_seqs,
            "gpu_memory_utilization": settings.vllm_gpu_memory_utilization,
            "tensor_parallel_size": settings.vllm_tensor_parallel_size,
            "dtype": settings.vllm_dtype,
            "quantization": settings.vllm_quantization,
            "enforce_eager": settings.vllm_enforce_eager,
            "enable_prefix_caching": True,
            "enable_log_requests": False,
        }
        return {**{name: value for name, value in named.items() if value is not None}, **settings.vllm_engine_args}

    def _prompt(self, messages: Sequence[ChatMessage]) -> list[int]:
        from jinja2 import TemplateError

        told = [{"role": message.role.value, "content": message.content} for message in messages]
        try:
            text = self._templated(told)
        except TemplateError:  # some models know no system role: the one who asks says it then
            text = self._templated(_without_system(told))
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _templated(self, told: list[dict[str, str]]) -> str:
        return str(self._tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=True))

    @staticmethod
    def _parameters(sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        given = {"temperature": sampling.temperature, "seed": sampling.seed, "stop": list(sampling.stop) or None}
        return SamplingParams(
            max_tokens=sampling.max_tokens,
            output_kind=RequestOutputKind.DELTA,
            **{name: value for name, value in given.items() if value is not None},
        )


def _without_system(told: list[dict[str, str]]) -> list[dict[str, str]]:
    """What the system says, said at the beginning by the one who asks."""
    if len(told) < 2 or told[0]["role"] != Role.SYSTEM:
        return told
    return [{"role": told[1]["role"], "content": f"{told[0]['content']}\n\n{told[1]['content']}"}, *told[2:]]


def _briefly(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}…"

"""Settings of generators: who answers, with which language model, and what that is told."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from contracts.endpoint_settings import endpoints_of
from contracts.endpoints import Balance
from contracts.secrets import ApiKey
from contracts.settings_source import Settings, variable

MaxTokens = Annotated[int, Field(ge=16, le=32768)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
AnswerSentences = Annotated[int, Field(ge=1, le=10)]


class GeneratorKind(StrEnum):
    EXTRACTIVE = "extractive"
    OPENAI = "openai"
    VLLM = "vllm"


class ChatSettings(Settings):
    """What a language model is asked, and how long it may answer."""

    prompt_file: Path | None = Field(
        default=None,
        description="Prompt templates (TOML); unset: those of this release.",
        examples=["/etc/waggle/prompts.toml"],
    )
    generator_max_tokens: MaxTokens = Field(
        default=512,
        description="Most tokens of an answer that asks for no other number.",
        examples=[512],
    )
    generator_temperature: Temperature = Field(
        default=0.2,
        description="Sampling temperature of answers that ask for no other.",
        examples=[0.2],
    )
    condense_concurrency: int = Field(
        default=4, ge=1, le=64, description="Questions of conversations put in full at once.", examples=[4]
    )


class ModelSettings(Settings):
    """Which language model answers, wherever it runs."""

    generator_model: str | None = Field(
        default=None,
        min_length=1,
        description="The language model: its name, or for vllm a folder, too.",
        examples=["Qwen/Qwen3-8B", "/models/qwen3"],
    )


class VllmSettings(ModelSettings):
    """A language model in the generate worker's own process."""

    vllm_max_model_len: int | None = Field(
        default=None,
        ge=256,
        description="Most tokens of prompt and answer; unset: what the model can.",
        examples=[8192],
    )
    vllm_max_num_seqs: int = Field(
        default=32,
        ge=1,
        le=1024,
        description="Answers in one batch; so many messages are taken at once.",
        examples=[64],
    )
    vllm_gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="Share of the GPU's memory for the engine.", examples=[0.9]
    )
    vllm_tensor_parallel_size: int = Field(default=1, ge=1, description="GPUs that share the model.", examples=[2])
    vllm_dtype: str = Field(default="auto", description="Number format of weights.", examples=["bfloat16"])
    vllm_quantization: str | None = Field(default=None, description="How weights are quantized.", examples=["awq"])
    vllm_enforce_eager: bool = Field(
        default=False, description="Start faster, run slower: no compiled graphs.", examples=["true"]
    )
    vllm_engine_args: dict[str, Any] = Field(
        default_factory=dict,
        description="Any other argument of vLLM's engine, as JSON.",
        examples=['{"kv_cache_dtype": "fp8"}'],
        json_schema_extra={"shown": "none"},
    )


class ChatEndpointSettings(ModelSettings):
    """A language model behind OpenAI-compatible endpoints."""

    generator_endpoints: Annotated[str, endpoints_of("generator_api_key")] | None = Field(
        default=None,
        description="Endpoints of the model, comma separated. `;weight=3` for a larger share, `;standby` for reserves.",
        examples=["http://a:8000/v1, http://b:8000/v1;weight=3, https://c.example/v1;standby"],
    )
    generator_api_key: ApiKey = Field(
        default=None, description="Key that the endpoints ask for; every one of them is sent it.", examples=["sk-…"]
    )
    generator_balance: Balance = Field(
        default=Balance.LEAST_CONNECTIONS,
        description="How requests are spread: least_connections, round_robin or weighted.",
        examples=["least_connections"],
    )
    generator_connect_timeout_s: float = Field(
        default=5.0, gt=0, description="How long to wait for a connection to an endpoint.", examples=[5]
    )
    generator_first_token_timeout_s: float = Field(
        default=10.0,
        gt=0,
        description="How long to wait for the first token of an answer; then another endpoint is asked. Keep it well below "
        "the deadline of questions (30 s by default), or a silent endpoint is never found out.",
        examples=[10],
    )
    generator_gap_timeout_s: float = Field(
        default=10.0, gt=0, description="How long to wait for the next token of an answer.", examples=[10]
    )
    generator_context_tokens: int | None = Field(
        default=None,
        ge=256,
        description="Tokens that the model holds, question, passages and answer together. Unset: the endpoints are asked.",
        examples=[8192],
    )
    generator_tokenizer: Path | None = Field(
        default=None,
        description="`tokenizer.json`, or the folder it lies in, to count tokens with. Unset: the endpoints are asked.",
        examples=["/models/qwen3-8b/tokenizer.json"],
    )

    @field_validator("generator_balance")
    @classmethod
    def _heeds_weights(cls, balance: Balance, info: ValidationInfo) -> Balance:
        """A weight that nobody looks at is a mistake that nobody would find."""
        if balance is Balance.ROUND_ROBIN and ";weight" in "".join(
            (info.data.get("generator_endpoints") or "").split()
        ):
            raise ValueError(f"{variable('generator_endpoints')} has weights, which round_robin does not heed")
        return balance

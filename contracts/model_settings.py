"""The settings of encoders and rerankers, wherever their models are computed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.endpoint_settings import endpoints_of
from contracts.secrets import ApiKey
from contracts.settings_source import Settings

EMBEDDINGS_ROUTE = "/embeddings"
RERANK_ROUTE = "/rerank"
Device = Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$")]


class EncoderKind(StrEnum):
    SENTENCE_TRANSFORMERS = "sentence-transformers"
    OPENAI = "openai"
    SIMULATED = "simulated"


class EncoderSettings(Settings):
    """Which encoder turns text into vectors. Embed and retrieve must agree."""

    encoder: EncoderKind = Field(
        default=EncoderKind.SENTENCE_TRANSFORMERS,
        description="Encoder: sentence-transformers (in the process), openai (any server of `/v1/embeddings`) or simulated.",
        examples=["openai"],
    )
    encoder_model: str = Field(
        default="all-MiniLM-L6-v2",
        min_length=1,
        description="Model name or folder; for openai the name that the server knows it by.",
        examples=["intfloat/multilingual-e5-small", "/models/e5"],
    )
    encoder_query_prompt: str | None = Field(
        default=None,
        description="Put before every question; empty for nothing. Default: what the model was trained with.",
        examples=["query: "],
    )
    encoder_passage_prompt: str | None = Field(
        default=None,
        description="Put before every passage; empty for nothing. An index holds vectors of one passage prompt only.",
        examples=["passage: "],
    )
    encoder_max_tokens: int | None = Field(
        default=None,
        ge=8,
        description="Where texts are cut (sentence-transformers); default: what the model's configuration says.",
        examples=[512],
    )
    encoder_tokenizer: Path | None = Field(
        default=None,
        description="Folder or file of the `tokenizer.json` that ingest counts with, where the model is not on its host.",
        examples=["/models/e5/tokenizer.json"],
    )
    encoder_device: Device = Field(
        default="auto",
        description="auto takes CUDA, then MPS, then the CPU; or cpu, cuda, cuda:1, mps.",
        examples=["cuda:1"],
    )
    encoder_scripts: str | None = Field(
        default=None,
        description="Scripts the model serves, comma separated (latin, han, …, or all). Known models need none.",
        examples=["latin,han"],
    )
    encoder_threads: int | None = Field(
        default=None,
        ge=1,
        description="Torch threads; default: embed shares the cores, retrieve takes 1.",
        examples=[1],
    )
    encoder_precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="auto measures at start and keeps cosine >= 0.999 to float32.", examples=["float32"]
    )
    encoder_batch_tokens: int = Field(
        default=2048,
        ge=256,
        description="Most tokens (padding included) in one model call; a GPU likes more.",
        examples=[2048],
    )
    encoder_endpoints: Annotated[str, endpoints_of("encoder_api_key", route=EMBEDDINGS_ROUTE)] | None = Field(
        default=None,
        description="Where `/v1/embeddings` is served (openai), comma separated; as WAGGLE_GENERATOR_ENDPOINTS.",
        examples=["http://gpu-1:8000/v1, http://gpu-2:8000/v1;weight=3, https://c.example/v1;standby"],
    )
    encoder_api_key: ApiKey = Field(
        default=None, description="Key of the embeddings servers, where they want one.", examples=["sk-…"]
    )
    encoder_dimension: int | None = Field(
        default=None,
        ge=1,
        description="Length of the vectors (openai); asked of the server where its model can give several.",
        examples=[512],
    )
    encoder_sentences: bool = Field(
        default=True,
        description="Whether openai encodes sentences, too: twice the tokens, better ranking and answers.",
        examples=["false"],
    )
    encoder_timeout_s: float = Field(
        default=30.0,
        gt=0,
        allow_inf_nan=False,
        description="Most seconds for one request to an embeddings server.",
        examples=[30],
    )
    encoder_simulated_ms: float = Field(
        default=50.0,
        ge=0,
        allow_inf_nan=False,
        description="Time per call of the simulated encoder, in milliseconds.",
        examples=[50],
    )


class RerankerKind(StrEnum):
    OFF = "off"
    CROSS_ENCODER = "cross-encoder"
    ENDPOINT = "endpoint"


class RerankerSettings(Settings):
    """What puts the best candidates of a search in a better order."""

    reranker: RerankerKind = Field(
        default=RerankerKind.OFF,
        description="Reranker: off, cross-encoder (in the process) or endpoint (any server of `/rerank`).",
        examples=["cross-encoder"],
    )
    reranker_model: str = Field(
        default="cross-encoder/ms-marco-MiniLM-L6-v2",
        min_length=1,
        description="Model name or folder; for endpoint the name that the server knows it by.",
        examples=["BAAI/bge-reranker-v2-m3", "/models/reranker"],
    )
    reranker_scripts: str | None = Field(
        default=None,
        description="Scripts the reranker understands, as WAGGLE_ENCODER_SCRIPTS. Known models need none.",
        examples=["latin,han"],
    )
    reranker_endpoints: Annotated[str, endpoints_of("reranker_api_key", route=RERANK_ROUTE)] | None = Field(
        default=None,
        description="Where `/rerank` is served, comma separated; as WAGGLE_GENERATOR_ENDPOINTS.",
        examples=["http://gpu-1:8000/v1, http://gpu-2:8000/v1;weight=3"],
    )
    reranker_api_key: ApiKey = Field(
        default=None, description="Key of the reranking servers, where they want one.", examples=["sk-…"]
    )
    reranker_window: int = Field(
        default=24, ge=2, le=200, description="How many of the best candidates are reranked.", examples=[24]
    )
    reranker_timeout_s: float = Field(
        default=1.0,
        gt=0,
        allow_inf_nan=False,
        description="Most seconds that reranking may add to a question; beyond, the order stays as it is.",
        examples=[1],
    )
    reranker_device: Device = Field(
        default="auto", description="As WAGGLE_ENCODER_DEVICE, for the cross-encoder.", examples=["cuda"]
    )
    reranker_threads: int | None = Field(
        default=None,
        ge=1,
        description="Torch threads of the cross-encoder; default: every core of its process.",
        examples=[4],
    )

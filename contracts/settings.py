"""What can be configured: every variable, its type, its default and what it means.

Each process has one settings model, put together from the groups below; the same variable means the same everywhere.
"""

from __future__ import annotations

import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from contracts.settings_source import Settings


class BrokerSettings(Settings):
    """How to reach NATS."""

    nats_url: str = Field(
        default="nats://127.0.0.1:4222",
        description="Broker addresses, comma separated.",
        examples=["tls://nats-1:4222,tls://nats-2:4222"],
    )
    nats_user: str | None = Field(default=None, description="User name.", examples=["waggle"])
    nats_password: SecretStr | None = Field(default=None, description="Password.", examples=["…"])
    nats_token: SecretStr | None = Field(default=None, description="Token.", examples=["…"])
    nats_credentials: Path | None = Field(
        default=None, description="Credentials file (JWT and seed).", examples=["/etc/waggle/worker.creds"]
    )
    nats_nkey_seed: Path | None = Field(default=None, description="NKey seed file.", examples=["/etc/waggle/worker.nk"])
    nats_tls_ca: Path | None = Field(default=None, description="CA file.", examples=["/etc/waggle/ca.pem"])
    nats_tls_cert: Path | None = Field(
        default=None, description="Client certificate.", examples=["/etc/waggle/client.pem"]
    )
    nats_tls_key: Path | None = Field(default=None, description="Client key.", examples=["/etc/waggle/client-key.pem"])
    publish_timeout_s: float = Field(
        default=5.0, gt=0, description="How long to wait for the broker to store a message.", examples=[5]
    )
    replicas: int | None = Field(
        default=None,
        description="Copies of every stream and bucket in a NATS cluster: 1, 3 or 5. Unset leaves them as they are.",
        examples=[3],
    )

    @field_validator("replicas")
    @classmethod
    def _is_odd(cls, replicas: int | None) -> int | None:
        if replicas not in (None, 1, 3, 5):
            raise ValueError("must be 1, 3 or 5: an even number survives no more losses than one less")
        return replicas


class StateSettings(Settings):
    """Where local state is kept."""

    data_dir: Path = Field(
        default=Path(".waggle"), description="Local state: broker store, index, logs.", examples=["/var/lib/waggle"]
    )


class ProcessSettings(BrokerSettings, StateSettings):
    """What every process of the fleet has."""

    instance: str = Field(
        default_factory=lambda: _default_instance(),  # noqa: PLW0108 (defined below)
        pattern=r"^[A-Za-z0-9_-]{1,128}$",
        description="Identity of this process among its replicas.",
        examples=["embed-1"],
        json_schema_extra={"shown": "host name and process id"},
    )
    track: str = Field(
        default="stable",
        pattern=r"^(stable|canary)$",
        description="Release track: stable or canary.",
        examples=["stable"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged.", examples=["info"]
    )
    log_format: Literal["text", "json"] = Field(default="text", description="text or json.", examples=["json"])
    otlp_endpoint: str | None = Field(
        default=None,
        description="OTLP/HTTP collector for traces and metrics; unset exports nothing.",
        examples=["http://127.0.0.1:4318"],
    )
    drain_timeout_s: float = Field(
        default=25.0, gt=0, description="On SIGTERM, how long work in hand may take to finish.", examples=[25]
    )


class EncoderKind(StrEnum):
    SENTENCE_TRANSFORMERS = "sentence-transformers"
    SIMULATED = "simulated"


class EncoderSettings(Settings):
    """Which encoder turns text into vectors. Embed and retrieve must agree."""

    encoder: EncoderKind = Field(
        default=EncoderKind.SENTENCE_TRANSFORMERS,
        description="Encoder; `simulated` is for load tests.",
        examples=["sentence-transformers"],
    )
    encoder_model: str = Field(
        default="all-MiniLM-L6-v2",
        description="Model name or folder.",
        examples=["intfloat/multilingual-e5-small", "/models/e5"],
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
    encoder_simulated_ms: float = Field(
        default=50.0, ge=0, description="Time per call of the simulated encoder, in milliseconds.", examples=[50]
    )


class IndexKind(StrEnum):
    LANCEDB = "lancedb"


class IndexSettings(StateSettings):
    """Where chunks are searched."""

    index: IndexKind = Field(default=IndexKind.LANCEDB, description="Vector index.", examples=["lancedb"])
    index_path: Path = Field(
        default_factory=lambda known: Path(known["data_dir"]) / "index",
        description="Folder of the LanceDB index.",
        examples=["/var/lib/waggle/index"],
        json_schema_extra={"shown": "`index` in `WAGGLE_DATA_DIR`"},
    )


class IngestSettings(EncoderSettings, ProcessSettings):
    """The ingest worker. It counts tokens as the encoder does."""

    ingest_concurrency: int = Field(default=2, ge=1, le=64, description="Documents parsed at once.", examples=[2])
    chunk_tokens: int = Field(default=200, ge=32, le=2048, description="Most tokens in a chunk.", examples=[200])
    chunk_overlap_tokens: int = Field(
        default=40, ge=0, le=1024, description="Tokens repeated from the chunk before.", examples=[40]
    )
    parser_timeout_s: float = Field(default=120.0, gt=0, description="Most seconds to parse a file.", examples=[120])
    parser_cpu_s: int = Field(
        default=30, ge=1, description="Most seconds of processor time to parse a file.", examples=[30]
    )
    parser_memory_mb: int = Field(
        default=512, ge=128, description="Most memory of a parser process, in MiB.", examples=[512]
    )


class EmbedSettings(EncoderSettings, ProcessSettings, IndexSettings):
    """The embed worker."""

    embed_gather_ms: float = Field(
        default=20.0, ge=0, description="How long to gather messages into one batch, in ms.", examples=[20]
    )
    embed_batch_messages: int = Field(default=8, ge=1, le=256, description="Most messages gathered.", examples=[8])


class Fusion(StrEnum):
    CONVEX = "convex"
    RECIPROCAL_RANK = "rrf"


class RetrieveSettings(EncoderSettings, ProcessSettings, IndexSettings):
    """The retrieve worker."""

    retrieve_concurrency: int = Field(default=8, ge=1, le=256, description="Questions searched at once.", examples=[8])
    fusion: Fusion = Field(
        default=Fusion.CONVEX, description="How the two sides of hybrid search are combined.", examples=["convex"]
    )


class GenerateSettings(ProcessSettings):
    """The generate worker."""

    generate_concurrency: int = Field(default=8, ge=1, le=256, description="Answers generated at once.", examples=[8])
    generator: Literal["extractive"] = Field(default="extractive", description="Generator.", examples=["extractive"])
    answer_sentences: int = Field(
        default=3, ge=1, le=10, description="Most sentences of an extractive answer.", examples=[3]
    )


class KeeperSettings(ProcessSettings):
    """The keeper."""


class GatewaySettings(ProcessSettings):
    """The HTTP gateway."""

    gateway_host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["127.0.0.1"])
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.", examples=[8080])
    upload_max_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1024, description="Largest upload, in bytes.", examples=[104857600]
    )
    max_pending_documents: int = Field(
        default=10_000,
        ge=1,
        description="Documents that may wait to be read; beyond, new ones are refused (429).",
        examples=[10000],
    )


class ClientSettings(Settings):
    """The command line."""

    url: str = Field(default="http://127.0.0.1:8080", description="The gateway.", examples=["https://waggle.example"])
    api_key: SecretStr | None = Field(default=None, description="API key.", examples=["wk_…"])


class AllSettings(
    IngestSettings, EmbedSettings, RetrieveSettings, GenerateSettings, KeeperSettings, GatewaySettings, ClientSettings
):
    """Every setting there is: what `waggle config show` prints and unknown variables are judged by."""


def _default_instance() -> str:
    host = "".join(c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname())
    return f"{host[:96]}-{os.getpid()}"

"""What can be configured: every variable, its type, its default and what it means.

Each process has one settings model, put together from the groups below; the same variable means the same everywhere.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr

from contracts.cache_settings import CacheSettings
from contracts.diagnosis_settings import DiagnosisSettings
from contracts.figure_settings import FigureSettings
from contracts.gateway_settings import GatewaySettings
from contracts.generator_settings import (
    AnswerSentences,
    ChatEndpointSettings,
    ChatSettings,
    GeneratorKind,
    VllmSettings,
)
from contracts.intake_settings import IntakeSettings
from contracts.model_settings import EncoderKind, EncoderSettings, RerankerKind, RerankerSettings
from contracts.notification_settings import NotificationSettings
from contracts.process_settings import BrokerSettings, ProcessSettings, StateSettings
from contracts.recovery_settings import PolicySettings, RecoverySettings
from contracts.rule_settings import RuleSettings
from contracts.series_settings import SeriesSettings
from contracts.weaviate_settings import WeaviateSettings


class IndexKind(StrEnum):
    LANCEDB = "lancedb"
    WEAVIATE = "weaviate"


class IndexSettings(WeaviateSettings, StateSettings):
    """Where chunks are searched."""

    index: IndexKind = Field(
        default=IndexKind.LANCEDB,
        description="Vector index: lancedb (embedded, one host) or weaviate (a server, any number of hosts).",
        examples=["weaviate"],
    )
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


class EmbedSettings(EncoderSettings, ProcessSettings, IndexSettings, CacheSettings):
    """The embed worker."""

    embed_gather_ms: float = Field(
        default=20.0, ge=0, description="How long to gather messages into one batch, in ms.", examples=[20]
    )
    embed_batch_messages: int = Field(default=8, ge=1, le=256, description="Most messages gathered.", examples=[8])


class Fusion(StrEnum):
    CONVEX = "convex"
    RECIPROCAL_RANK = "rrf"


class RetrieveSettings(EncoderSettings, RerankerSettings, ProcessSettings, IndexSettings, CacheSettings):
    """The retrieve worker."""

    retrieve_concurrency: int = Field(default=8, ge=1, le=256, description="Questions searched at once.", examples=[8])
    encode_concurrency: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Requests for vectors of texts in hand at once; they take turns, and questions go before them.",
        examples=[8],
    )
    fusion: Fusion = Field(
        default=Fusion.CONVEX, description="How the two sides of hybrid search are combined.", examples=["convex"]
    )
    condense_timeout_s: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="How long a model may take to put a question of a conversation in full.",
        examples=[5],
    )


class GenerateSettings(ChatSettings, VllmSettings, ChatEndpointSettings, ProcessSettings):
    """The generate worker."""

    generate_concurrency: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Answers generated at once. Unset: 8, and with vllm as many as fit its batch.",
        examples=[8],
    )
    generator: GeneratorKind = Field(
        default=GeneratorKind.EXTRACTIVE, description="Who writes the answers.", examples=["extractive"]
    )
    answer_sentences: AnswerSentences = Field(
        default=3, description="Most sentences of an extractive answer.", examples=[3]
    )


class KeeperSettings(ProcessSettings):
    """The keeper."""


class ObserverSettings(
    IntakeSettings,
    SeriesSettings,
    RuleSettings,
    DiagnosisSettings,
    FigureSettings,
    NotificationSettings,
    PolicySettings,
    RecoverySettings,
    ProcessSettings,
):
    """The observer."""


class OperatorSettings(RecoverySettings, ProcessSettings, CacheSettings):
    """The operator."""


class ClientSettings(NotificationSettings):
    """The command line."""

    url: str = Field(default="http://127.0.0.1:8080", description="The gateway.", examples=["https://waggle.example"])
    api_key: SecretStr | None = Field(default=None, description="API key.", examples=["wk_…"])
    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Most processes of a service that the stack of `waggle up` has room for; `waggle scale` starts that many. "
        "Unset, cores and memory decide: 2 to 8.",
        examples=[4],
    )


class AllSettings(
    IngestSettings,
    EmbedSettings,
    RetrieveSettings,
    GenerateSettings,
    KeeperSettings,
    ObserverSettings,
    OperatorSettings,
    GatewaySettings,
    ClientSettings,
):
    """Every setting there is: what `waggle config show` prints and unknown variables are judged by."""


__all__ = [
    "AllSettings",
    "BrokerSettings",
    "ClientSettings",
    "EmbedSettings",
    "EncoderKind",
    "EncoderSettings",
    "Fusion",
    "GatewaySettings",
    "GenerateSettings",
    "IndexKind",
    "IndexSettings",
    "IngestSettings",
    "KeeperSettings",
    "NotificationSettings",
    "ObserverSettings",
    "OperatorSettings",
    "ProcessSettings",
    "RerankerKind",
    "RerankerSettings",
    "RetrieveSettings",
    "StateSettings",
]

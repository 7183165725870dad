"""What may be changed while everything runs, its numbered revisions, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from contracts.gateway_settings import MaxPendingDocuments
from contracts.generator_settings import AnswerSentences, MaxTokens, Temperature
from contracts.message import Message, Value
from contracts.queries import MAX_TOP_K
from contracts.settings import Fusion

MOST_KEPT: Final = 200
"""So many revisions can be looked at and gone back to."""

Because = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1024)]
ClaimedName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]
Setting = bool | int | float | str
"""The value of a key, as it stands in JSON."""


def said(value: Setting | None) -> str:
    """A value as whoever sets it writes it; None: it is not set."""
    if value is None:
        return "unset"
    return value if isinstance(value, str) else json.dumps(value)


class EndpointClass(StrEnum):
    """Which of the endpoints of a model are asked first, the others only while none of those can be; and at which of two
    addresses the index is used.
    """

    PRIMARY = "primary"
    STANDBY = "standby"


class RuntimeConfig(Value):
    """Settings that processes take over at once. What is absent is in each process as its own settings say."""

    generator_max_tokens: MaxTokens | None = Field(
        default=None, description="Most tokens of an answer that asks for no other number.", examples=[512]
    )
    generator_temperature: Temperature | None = Field(
        default=None, description="Sampling temperature of answers that ask for no other.", examples=[0.2]
    )
    active_endpoints: EndpointClass | None = Field(
        default=None,
        description="Which endpoints of the language model are asked first: primary, or standby.",
        examples=["standby"],
    )
    active_index: EndpointClass | None = Field(
        default=None,
        description="At which address the index is used: primary, or standby (`WAGGLE_WEAVIATE_STANDBY_URL`).",
        examples=["standby"],
    )
    answer_sentences: AnswerSentences | None = Field(
        default=None, description="Most sentences of an extractive answer.", examples=[3]
    )
    fusion: Fusion | None = Field(
        default=None, description="How the two sides of hybrid search are combined: convex or rrf.", examples=["rrf"]
    )
    reranking: bool | None = Field(
        default=None,
        description="Whether passages are reranked, where there is a reranker.",
        examples=[False],
    )
    answer_cache: bool | None = Field(
        default=None,
        description="Whether answers that were given before may be given again, where there is a cache.",
        examples=[False],
    )
    top_k: int | None = Field(
        default=None,
        ge=1,
        le=MAX_TOP_K,
        description="Passages for a question over HTTP that asks for no other number.",
        examples=[5],
    )
    max_pending_documents: MaxPendingDocuments | None = Field(
        default=None,
        description="Documents that may wait to be read; beyond, new ones are refused (429).",
        examples=[10000],
    )

    @property
    def given(self) -> dict[str, Setting]:
        """What is set, as JSON values."""
        return self.model_dump(mode="json", exclude_none=True)

    def changed(self, values: Mapping[str, JsonValue]) -> RuntimeConfig:
        """With other values for some keys; None: the key is not set any more. Raises `ConfigRefusedError`."""
        try:
            return RuntimeConfig.model_validate({**self.given, **values})
        except ValidationError as error:
            raise ConfigRefusedError([_fault(str(each["loc"][0]), each["msg"]) for each in error.errors()]) from None


class ConfigRefusedError(ValueError):
    """Nothing was changed: `faults` name each key that will not do, with the reason."""

    def __init__(self, faults: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {reason}" for key, reason in faults))
        self.faults = faults


APPLIED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "generator_max_tokens": ("generate",),
    "generator_temperature": ("generate",),
    "active_endpoints": ("generate",),
    "active_index": ("retrieve", "embed"),
    "answer_sentences": ("generate",),
    "fusion": ("retrieve",),
    "reranking": ("retrieve",),
    "answer_cache": ("retrieve",),
    "top_k": ("gateway",),
    "max_pending_documents": ("gateway",),
}
"""The services that work by each key; on behalf of the first one it is changed."""


class ConfigRevision(Message):
    """What is set, as one change left it. Kept in the bucket `config`; never written again.

    `principal` is who changed it, as far as that is verified; `claimed_by` who they say they are.
    """

    number: int = Field(ge=1)
    values: RuntimeConfig
    because: Because
    claimed_by: ClaimedName | None = None
    restores: int | None = Field(default=None, ge=0)
    """The revision whose values these are again, where it was gone back to; 0: nothing was set."""


class Change(Value):
    """A key that two revisions differ in; None: it is not set there."""

    key: str
    before: Setting | None
    after: Setting | None


class ConfigChanged(Message):
    """There is a new revision. `id` is the same however often this is told. `principal` and `claimed_by` as there."""

    id: str
    number: int = Field(ge=1)
    changes: tuple[Change, ...]
    because: Because
    claimed_by: ClaimedName | None = None
    restores: int | None = Field(default=None, ge=0)


def changes_between(before: RuntimeConfig, after: RuntimeConfig) -> tuple[Change, ...]:
    """The keys whose values differ, in the order in which `RuntimeConfig` has them."""
    old, new = before.given, after.given
    return tuple(
        Change(key=key, before=old.get(key), after=new.get(key))
        for key in RuntimeConfig.model_fields
        if old.get(key) != new.get(key)
    )


def _fault(key: str, reason: str) -> tuple[str, str]:
    if key not in RuntimeConfig.model_fields:
        return key, f"is no key that can be changed while everything runs; those are {', '.join(APPLIED_BY)}"
    return key, reason

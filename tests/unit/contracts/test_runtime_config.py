"""What may be changed while everything runs: what is refused, and how revisions differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import NewerSchemaError
from contracts.runtime_config import (
    APPLIED_BY,
    Change,
    ConfigRefusedError,
    ConfigRevision,
    EndpointClass,
    RuntimeConfig,
    changes_between,
)
from contracts.settings import AllSettings

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "generator_max_tokens": st.integers(16, 32768),
        "generator_temperature": st.floats(0, 2, allow_nan=False),
        "active_endpoints": st.sampled_from(EndpointClass),
        "reranking": st.booleans(),
        "top_k": st.integers(1, 50),
    },
)
CONFIGS = st.builds(RuntimeConfig.model_validate, VALUES)


class TestChanging:
    def test_keys_are_set_and_others_stay(self) -> None:
        config = RuntimeConfig(top_k=7).changed({"fusion": "rrf"})
        assert config.given == {"fusion": "rrf", "top_k": 7}

    def test_none_unsets_a_key(self) -> None:
        assert RuntimeConfig(top_k=7).changed({"top_k": None}) == RuntimeConfig()

    @pytest.mark.parametrize(
        ("values", "key"),
        [
            ({"generator_max_tokens": 5}, "generator_max_tokens"),
            ({"generator_temperature": float("nan")}, "generator_temperature"),
            ({"generator_temperature": 2.5}, "generator_temperature"),
            ({"active_endpoints": "both"}, "active_endpoints"),
            ({"top_k": 51}, "top_k"),
            ({"reranking": "perhaps"}, "reranking"),
            ({"max_pending_documents": 0}, "max_pending_documents"),
        ],
    )
    def test_a_value_that_will_not_do_is_refused_with_its_key(self, values: dict[str, Any], key: str) -> None:
        with pytest.raises(ConfigRefusedError, match=key) as refused:
            RuntimeConfig().changed({"answer_sentences": 2, **values})
        assert [key for key, _ in refused.value.faults] == [key]

    def test_an_unknown_key_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(ConfigRefusedError, match=r"nats_url: is no key .* generator_max_tokens"):
            RuntimeConfig().changed({"nats_url": "nats://elsewhere"})

    def test_every_fault_is_told(self) -> None:
        with pytest.raises(ConfigRefusedError) as refused:
            RuntimeConfig().changed({"top_k": 0, "answer_sentences": 11, "colour": "blue"})
        assert {key for key, _ in refused.value.faults} == {"top_k", "answer_sentences", "colour"}


class TestKeys:
    def test_of_every_key_it_is_known_who_works_by_it(self) -> None:
        assert list(APPLIED_BY) == list(RuntimeConfig.model_fields)

    @pytest.mark.parametrize("key", sorted(RuntimeConfig.model_fields.keys() & AllSettings.model_fields.keys()))
    def test_a_key_named_as_a_setting_takes_its_default(self, key: str) -> None:
        default = AllSettings.model_fields[key].default
        assert getattr(RuntimeConfig().changed({key: default}), key) == default


class TestDifferences:
    def test_each_key_that_differs_is_told_with_both_values(self) -> None:
        before, after = RuntimeConfig(top_k=7, reranking=True), RuntimeConfig(top_k=9, answer_cache=False)
        assert changes_between(before, after) == (
            Change(key="reranking", before=True, after=None),
            Change(key="answer_cache", before=None, after=False),
            Change(key="top_k", before=7, after=9),
        )

    @given(before=CONFIGS, after=CONFIGS)
    def test_done_to_the_one_they_make_the_other(self, before: RuntimeConfig, after: RuntimeConfig) -> None:
        changes = changes_between(before, after)
        assert before.changed({change.key: change.after for change in changes}) == after
        assert bool(changes) == (before != after)


class TestRevision:
    def test_it_survives_its_bytes(self) -> None:
        revision = ConfigRevision(number=3, values=RuntimeConfig(reranking=False), because="slow", restores=1)
        assert ConfigRevision.from_bytes(revision.to_bytes()) == revision

    def test_one_of_a_newer_release_is_told_apart(self) -> None:
        data = ConfigRevision(number=3, values=RuntimeConfig(), because="x").to_bytes()
        newer = data.replace(b'"schema_version":1', b'"schema_version":2').replace(b'"values":{', b'"values":{"new":1,')
        with pytest.raises(NewerSchemaError):
            ConfigRevision.from_bytes(newer)

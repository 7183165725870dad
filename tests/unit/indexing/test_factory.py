"""The index that the settings name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.errors import PermanentError
from contracts.settings import IndexKind, IndexSettings
from tests.unit.indexing.rows import EMBEDDER
from workers.indexing.factory import build_index, build_site


def test_each_kind_is_built_from_its_own_module(tmp_path: Path) -> None:
    sites = [build_site(IndexSettings(index_path=tmp_path), kind) for kind in IndexKind]
    assert [type(site).__name__ for site in sites] == ["LanceSite", "WeaviateSite"]
    built = [site.index(site.default, EMBEDDER.identity) for site in sites]
    assert [type(index).__name__ for index in built] == ["LanceIndex", "WeaviateIndex"]


def test_a_missing_library_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("weaviate", "weaviate_site"):
        monkeypatch.delitem(sys.modules, f"workers.indexing.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "weaviate.classes.query", None)
    with pytest.raises(PermanentError, match=r"\.\[weaviate\]"):
        build_index(IndexSettings(index=IndexKind.WEAVIATE), EMBEDDER.identity)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weaviate_url": "weaviate:8080"}, "http"),
        ({"weaviate_url": "http://"}, "host"),
        ({"weaviate_url": "http://host/v1"}, "path"),
        ({"weaviate_url": "http://host?tenant=a"}, "path"),
        ({"weaviate_url": "http://host#part"}, "path"),
        ({"weaviate_url": "http://ho st"}, "host"),
        ({"weaviate_url": "http://a..b"}, "host"),
        ({"weaviate_url": f"http://{'a' * 64}.example"}, "host"),
        ({"weaviate_url": "http://host:99999"}, "port"),
        ({"weaviate_url": "http://host:0"}, "port"),
        ({"weaviate_url": "http://host:grpc"}, "port"),
        ({"weaviate_grpc_host": "grpc.example:50051"}, "WAGGLE_WEAVIATE_GRPC_PORT"),
        ({"weaviate_grpc_host": "http://grpc.example"}, "without scheme"),
        ({"weaviate_grpc_host": ""}, "a host alone"),
        ({"weaviate_api_key": "two words"}, "characters that no key has"),
        ({"weaviate_api_key": "ключ"}, "characters that no key has"),
        ({"weaviate_url": "http://user:secret@host"}, "WAGGLE_WEAVIATE_API_KEY"),
        ({"weaviate_collection": "waggle"}, "pattern"),
        ({"weaviate_collection": "A b"}, "pattern"),
        ({"weaviate_consistency": "most"}, "quorum"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        IndexSettings.model_validate(given)


@pytest.mark.parametrize(
    ("given", "field", "taken"),
    [
        ({"weaviate_url": " https://weaviate.example/ "}, "weaviate_url", "https://weaviate.example"),
        ({"weaviate_url": "HTTP://Weaviate:8080"}, "weaviate_url", "http://Weaviate:8080"),
        ({"weaviate_url": "http://[::1]:8080"}, "weaviate_url", "http://[::1]:8080"),
        ({"weaviate_url": "http://蜜蜂.example"}, "weaviate_url", "http://蜜蜂.example"),
        ({"weaviate_grpc_host": "[::1]"}, "weaviate_grpc_host", "::1"),
        ({"weaviate_grpc_host": "10.0.0.1"}, "weaviate_grpc_host", "10.0.0.1"),
    ],
)
def test_addresses_are_taken_in_every_usual_form(given: dict[str, str], field: str, taken: str) -> None:
    assert getattr(IndexSettings.model_validate(given), field) == taken


def test_a_key_that_was_read_from_a_file_loses_its_newline() -> None:
    settings = IndexSettings.model_validate({"weaviate_api_key": "secret\n"})
    assert settings.weaviate_api_key is not None
    assert settings.weaviate_api_key.get_secret_value() == "secret"


def test_the_ports_of_http_and_grpc_differ() -> None:
    settings = IndexSettings(index=IndexKind.WEAVIATE, weaviate_url="http://h:50051", weaviate_grpc_port=50051)
    with pytest.raises(PermanentError, match="WAGGLE_WEAVIATE_GRPC_PORT"):
        build_index(settings, EMBEDDER.identity)
    elsewhere = settings.model_copy(update={"weaviate_grpc_host": "grpc.h"})
    build_index(elsewhere, EMBEDDER.identity)

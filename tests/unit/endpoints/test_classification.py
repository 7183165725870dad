"""Replies that are not the one asked for, as servers really send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.endpoints.pools import PURPOSE
from workers.endpoints.classification import DEFAULT_REST_S, MAX_QUOTE, MAX_REST_S, Refusal, classify, rest_s
from workers.endpoints.faults import Fault, FaultKind

HTML = b"<html>hello</html>"
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


def of(status: int, body: Any = HTML, **options: Any) -> Fault:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify(Refusal(status=status, body=content, **options), PURPOSE)


def error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


@pytest.mark.parametrize(
    ("fault", "kind", "named"),
    [
        pytest.param(of(401), FaultKind.MISCONFIGURED, "WAGGLE_GENERATOR_API_KEY", id="no key"),
        pytest.param(of(403, error("no")), FaultKind.MISCONFIGURED, "WAGGLE_GENERATOR_API_KEY", id="forbidden"),
        pytest.param(
            of(404, error("The model `x` does not exist.", type="NotFoundError", param="model", code=404)),
            FaultKind.MISCONFIGURED,
            "WAGGLE_GENERATOR_MODEL",
            id="vLLM: model",
        ),
        pytest.param(
            of(404, error('model "x" not found, try pulling it first', type="api_error")),
            FaultKind.MISCONFIGURED,
            "WAGGLE_GENERATOR_MODEL",
            id="Ollama: model",
        ),
        pytest.param(
            of(400, error("x is not a valid model ID", code="model_not_found")),
            FaultKind.MISCONFIGURED,
            "WAGGLE_GENERATOR_MODEL",
            id="400: model",
        ),
        pytest.param(
            of(404, error("File Not Found", type="not_found_error", code=404)),
            FaultKind.FAILURE,
            "WAGGLE_GENERATOR_ENDPOINTS",
            id="llama.cpp: path",
        ),
        pytest.param(of(404, {"detail": "Not Found"}), FaultKind.FAILURE, "ENDPOINTS", id="vLLM: path"),
        pytest.param(of(404, HTML), FaultKind.FAILURE, "ENDPOINTS", id="page: path"),
        pytest.param(of(405, {"detail": "Method Not Allowed"}), FaultKind.FAILURE, "ENDPOINTS", id="method"),
        pytest.param(of(301, b"", location="https://b/v1"), FaultKind.FAILURE, "points to https://b/v1", id="moved"),
        pytest.param(of(400, HTML), FaultKind.FAILURE, "ENDPOINTS", id="page: 400"),
        pytest.param(of(500, error("engine died")), FaultKind.FAILURE, "engine died", id="500"),
        pytest.param(of(502, HTML), FaultKind.FAILURE, "502", id="502"),
        pytest.param(of(503, error("Loading model", code=503)), FaultKind.FAILURE, "Loading model", id="loading"),
        pytest.param(of(408), FaultKind.FAILURE, "408", id="408"),
        pytest.param(of(429, error("slow down")), FaultKind.BUSY, "slow down", id="429"),
        pytest.param(of(503, retry_after="3"), FaultKind.BUSY, "rests for 3 s", id="503 with a time"),
        pytest.param(
            of(400, error("request (3031 tokens) exceeds the available context size (512 tokens)")),
            FaultKind.REFUSED,
            "WAGGLE_GENERATOR_CONTEXT_TOKENS",
            id="llama.cpp: context",
        ),
        pytest.param(
            of(400, error("This model's maximum context length is 2048 tokens.", code=400)),
            FaultKind.REFUSED,
            "WAGGLE_GENERATOR_CONTEXT_TOKENS",
            id="vLLM: context",
        ),
        pytest.param(
            of(400, error("max_tokens=2000 cannot be greater than max_model_len=1024.", param="max_tokens")),
            FaultKind.REFUSED,
            "WAGGLE_GENERATOR_CONTEXT_TOKENS",
            id="vLLM: answer",
        ),
        pytest.param(
            of(400, error("too long", code="context_length_exceeded")),
            FaultKind.REFUSED,
            "WAGGLE_GENERATOR_CONTEXT_TOKENS",
            id="OpenAI: context",
        ),
        pytest.param(of(402, error("quota")), FaultKind.BUSY, "quota", id="402"),
        pytest.param(of(529, HTML, retry_after="3"), FaultKind.BUSY, "rests for 3 s", id="529 with a time"),
        pytest.param(of(501, HTML, retry_after="3"), FaultKind.FAILURE, "ENDPOINTS", id="501 with a time"),
        pytest.param(of(500, HTML, retry_after="3"), FaultKind.FAILURE, "500", id="500 with a time"),
        pytest.param(of(423), FaultKind.FAILURE, "423", id="423"),
        pytest.param(of(413, HTML), FaultKind.REFUSED, "413", id="413"),
        pytest.param(of(422, {"detail": [{"loc": ["body", "seed"]}]}), FaultKind.REFUSED, "seed", id="FastAPI: 422"),
        pytest.param(of(400, "just words"), FaultKind.REFUSED, "just words", id="a string"),
        pytest.param(of(400, {"error": "words"}), FaultKind.REFUSED, "words", id="error as a string"),
        pytest.param(of(400, ["a"]), FaultKind.REFUSED, "a", id="a list"),
    ],
)
def test_it_is_told_whose_fault_it_is_and_what_may_help(fault: Fault, kind: FaultKind, named: str) -> None:
    assert fault.kind is kind
    assert named in fault.reason


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_said_about_a_key_is_not_repeated(status: int) -> None:
    assert "sk-" not in of(status, error("Incorrect API key provided: sk-abc")).reason


def test_words_of_a_server_are_cut_and_stay_on_one_line() -> None:
    reason = of(500, error("bees \n" * 1000)).reason
    assert "\n" not in reason
    assert len(reason) < MAX_QUOTE + 50


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, DEFAULT_REST_S),
        ("", DEFAULT_REST_S),
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("86400", MAX_REST_S),
        ("inf", DEFAULT_REST_S),
        ("nan", DEFAULT_REST_S),
        ("soon", DEFAULT_REST_S),
        ("Wed, 25 Nov 2026 12:00:09 GMT", 9),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0),
        ("Wed, 25 Nov 2026 12:00:09 -0000", 9),
    ],
)
def test_how_long_an_endpoint_rests(header: str | None, seconds: float) -> None:
    assert rest_s(header, NOW) == pytest.approx(seconds)

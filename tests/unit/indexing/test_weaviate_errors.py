"""What the client raises, as our errors."""

from __future__ import annotations

import grpc
import grpc.aio
import httpx
import pytest
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateBaseError,
    WeaviateConnectionError,
    WeaviateQueryError,
)

from contracts.errors import PermanentError, WaggleError
from workers.indexing.weaviate_errors import (
    AnsweredError,
    DeniedError,
    TooLargeError,
    UnreachableError,
    refused_object,
    translated,
)

URL = "http://weaviate:8080"


def rpc(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="what the server said")


def answer(status: int, body: object) -> UnexpectedStatusCodeError:
    return UnexpectedStatusCodeError("asked", httpx.Response(status, json=body))


def raised(error: Exception, *, handling: Exception) -> Exception:
    """The error as the client raises it while it handles another, without naming that as its cause."""
    error.__context__ = handling
    return error


def test_a_message_that_is_too_large_is_told_from_a_server_that_has_no_room() -> None:
    for details, kind in (("Received message larger than max (3 vs. 2)", TooLargeError), ("no memory", AnsweredError)):
        origin = grpc.aio.AioRpcError(
            grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details
        )
        assert type(translated(raised(WeaviateQueryError("text", "gRPC"), handling=origin), url=URL)) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, UnreachableError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, UnreachableError),
        (grpc.StatusCode.PERMISSION_DENIED, DeniedError),
        (grpc.StatusCode.UNAUTHENTICATED, DeniedError),
        (grpc.StatusCode.UNKNOWN, AnsweredError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, AnsweredError),
    ],
)
def test_the_status_that_travelled_decides(code: grpc.StatusCode, kind: type[WaggleError]) -> None:
    error = translated(raised(WeaviateQueryError("text", "gRPC"), handling=rpc(code)), url=URL)
    assert type(error) is kind
    assert "what the server said" in str(error)
    assert URL in str(error)


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (answer(401, {"code": 401, "message": "invalid api key"}), DeniedError, "invalid api key"),
        (answer(403, {"error": [{"message": "forbidden action"}]}), DeniedError, "forbidden action"),
        (answer(422, {"error": [{"message": "already exists"}]}), AnsweredError, "already exists"),
        (answer(500, ["odd"]), AnsweredError, "500"),
    ],
)
def test_the_body_of_an_answer_is_told(error: Exception, kind: type[WaggleError], said: str) -> None:
    found = translated(error, url=URL)
    assert type(found) is kind
    assert said in str(found)


def test_a_connection_that_fails_below_the_client_is_unreachable() -> None:
    error = raised(WeaviateConnectionError("text"), handling=httpx.ConnectError("refused"))
    assert isinstance(translated(error, url=URL), UnreachableError)


def test_an_error_of_an_earlier_call_does_not_decide() -> None:
    earlier = translated(raised(WeaviateQueryError("text", "gRPC"), handling=rpc(grpc.StatusCode.UNAVAILABLE)), url=URL)
    assert isinstance(translated(raised(WeaviateBaseError("later"), handling=earlier), url=URL), AnsweredError)


def test_what_is_not_the_clients_stays_as_it_is() -> None:
    error = ValueError("ours")
    assert translated(error, url=URL) is error


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("invalid integer property 'page' on class 'Waggle': requires an integer", PermanentError),
        ("new node has a vector with length 9. Existing nodes have vectors with length 8", PermanentError),
        ("rbac: authorization, forbidden action", DeniedError),
        ("store is read-only due to: disk usage", AnsweredError),
        ("broadcast: cannot reach enough replicas", AnsweredError),
        ("something that no release said before", AnsweredError),
    ],
)
def test_only_an_object_that_is_itself_at_fault_is_given_up(reason: str, kind: type[WaggleError]) -> None:
    error = refused_object(reason, "chunk c of document d", url=URL)
    assert type(error) is kind
    assert reason in str(error)

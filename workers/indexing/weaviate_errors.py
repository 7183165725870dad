"""What Weaviate's client raises, as our errors.

The client's own classes tell little: most of what a server answers over gRPC arrives as one class with a text. The status
code that travelled is in the error that the client's was raised from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import grpc.aio
import httpx
from weaviate.exceptions import InsufficientPermissionsError, UnexpectedStatusCodeError, WeaviateBaseError

from contracts.errors import PermanentError, TransientError, WaggleError

_AWAY = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED"})
_DENIED = frozenset({"PERMISSION_DENIED", "UNAUTHENTICATED"})
_DENIED_HTTP = frozenset({401, 403})
_INVALID_OBJECT = re.compile(r"^invalid |vector with length|dimensions do not match")
_TOO_LARGE = "larger than max"
_DENIED_OBJECT = "rbac: authorization"


class UnreachableError(TransientError):
    """Weaviate did not answer."""


class AnsweredError(TransientError):
    """Weaviate answered that it could not do it."""


class TooLargeError(AnsweredError):
    """What was asked for at once is more than a message may hold."""


class DeniedError(TransientError):
    """The key does not allow this.

    A worker that was let in before waits with its messages: rights that were taken can be given again.
    """


def translated(error: Exception, *, url: str) -> Exception:
    """The error to raise for one of the client's; others are returned as they are."""
    code = _grpc_code(error)
    if isinstance(error, InsufficientPermissionsError) or code in _DENIED or _http_status(error) in _DENIED_HTTP:
        return denied(_reason(error), url=url)
    if code in _AWAY or any(isinstance(origin, httpx.HTTPError) for origin in _origins(error)):
        return unreachable(_reason(error), url=url)
    if isinstance(error, WeaviateBaseError):
        kind = TooLargeError if code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in _reason(error) else AnsweredError
        return kind(f"Weaviate at {url} failed: {_reason(error)}")
    return error


def denied(reason: str, *, url: str) -> DeniedError:
    return DeniedError(
        f"Weaviate at {url} refuses: {reason}. Set WAGGLE_WEAVIATE_API_KEY to the key of a user whose role lets it read "
        "and write the collections whose names begin with WAGGLE_WEAVIATE_COLLECTION, their data and their tenants; "
        "`waggle index rebuild` also deletes collections"
    )


def unreachable(reason: str, *, url: str) -> UnreachableError:
    return UnreachableError(
        f"Weaviate at {url} does not answer ({reason}): is it running, and are WAGGLE_WEAVIATE_URL and "
        "WAGGLE_WEAVIATE_GRPC_PORT right?"
    )


def refused_object(reason: str, what: str, *, url: str) -> WaggleError:
    """The error for an object that was not stored: permanent only where the object itself is at fault."""
    if _DENIED_OBJECT in reason:
        return denied(reason, url=url)
    message = f"Weaviate at {url} did not store {what}: {reason}"
    return PermanentError(message) if _INVALID_OBJECT.search(reason) else AnsweredError(message)


def _grpc_code(error: Exception) -> str | None:
    found = _grpc_error(error)
    return found.code().name if found else None


def _http_status(error: Exception) -> int | None:
    return error.status_code if isinstance(error, UnexpectedStatusCodeError) else None


def _reason(error: Exception) -> str:
    """One line of what the server, or the network, said."""
    found = _grpc_error(error)
    said = found.details() if found else _body(error) or str(error)
    return " ".join((said or type(error).__name__).split()).rstrip(".")


def _body(error: Exception) -> str | None:
    """What the body of an HTTP answer says: `{"error": [{"message": …}]}`, or just `{"message": …}`."""
    body: Any = error.error if isinstance(error, UnexpectedStatusCodeError) else None
    if not isinstance(body, dict):
        return None
    told = body.get("error")
    messages = [each["message"] for each in told] if isinstance(told, list) else [body.get("message")]
    return "; ".join(str(message) for message in messages if message) or None


def _grpc_error(error: Exception) -> grpc.aio.AioRpcError | None:
    return next((origin for origin in _origins(error) if isinstance(origin, grpc.aio.AioRpcError)), None)


def _origins(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; an error of ours that was being handled belongs to another call."""
    while error is not None and not isinstance(error, WaggleError):
        yield error
        error = error.__cause__ or error.__context__

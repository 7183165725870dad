"""What is asked of the server of a document, and what its answer says."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import httpx
from pydantic import TypeAdapter, ValidationError

from contracts.sources import UrlSource, Validator
from gateway.fetching.errors import SourceFailedError, SourceRefusedError

USER_AGENT: Final = "waggle"
_GIVEN: Final = frozenset({200, 203})
_AGAIN: Final = frozenset({408, 425, 429})
_VALIDATOR: TypeAdapter[str] = TypeAdapter(Validator)


def headers(url: httpx.URL, known: UrlSource | None) -> dict[str, str]:
    """What is asked, and where the version that is known came from this very URL: whether it has changed."""
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    if known is None or known.answered_by != str(url):  # an ETag says nothing of what is at another URL
        return headers
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def was_conditional(response: httpx.Response) -> bool:
    """Whether it was asked for a change."""
    return not {"if-none-match", "if-modified-since"}.isdisjoint(response.request.headers)


def require_given(response: httpx.Response, host: str) -> None:
    """Raises `SourceRefusedError` and `SourceFailedError` for what is no document."""
    status = response.status_code
    if status in _GIVEN:
        return
    answered = f"{host} answered {status} {_phrase(status)}".rstrip()
    if status >= 500 or status in _AGAIN:
        raise SourceFailedError(f"{answered}. Try again later.")
    raise SourceRefusedError(f"{answered} in place of a document.")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def source(url: httpx.URL, answered_by: httpx.URL, response: httpx.Response) -> UrlSource:
    """What is kept of where the document came from."""
    return UrlSource(
        url=str(url),
        answered_by=str(answered_by),
        etag=_validator(response.headers.get("etag")),
        last_modified=_validator(response.headers.get("last-modified")),
    )


def _validator(text: str | None) -> str | None:
    """None for one that is too odd to be sent back."""
    try:
        return None if text is None else _VALIDATOR.validate_python(text)
    except ValidationError:
        return None

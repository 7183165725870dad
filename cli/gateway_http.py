"""Requests to the gateway, and their answers as values."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from cli.exits import CommandError
from cli.gateway_errors import GatewayError, UnreachableError, json_of, raise_problem
from cli.replies import Problem

CONNECT_S = 5.0
REPLY_S = 30.0
PAGE = 200
"""The most that the gateway lists at once."""
Model = TypeVar("Model", bound=BaseModel)


class GatewayHttp:
    """Use as an asynchronous context manager."""

    def __init__(
        self, url: str, *, api_key: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            transport=transport,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(REPLY_S, connect=CONNECT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self.send(method, path, **options)
        raise_problem(response)
        return response

    async def all_pages(
        self, path: str, parameters: Mapping[str, Sequence[str]], *, most: int | None = None
    ) -> dict[str, Any]:
        """A list whole, or its first `most` entries, as one page."""
        items: list[Any] = []
        asked = dict(parameters)
        while True:
            wanted = PAGE if most is None else min(PAGE, most - len(items))
            page = json_of(await self.request("GET", path, params={**asked, "limit": [str(wanted)]}))
            items += page.get("items", ())
            if page.get("next") is None or len(items) == most:
                return {**page, "items": items}
            asked["cursor"] = [page["next"]]

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def streaming(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **options) as response:
                if response.is_error:
                    await response.aread()
                    raise_problem(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(self.url, str(error) or type(error).__name__)

    def read(self, model: type[Model], data: object) -> Model:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise CommandError(
                f"{self.url} does not answer as a Waggle gateway does: {error.error_count()} unexpected fields",
                hint="Check WAGGLE_URL, and that gateway and command line are of the same release.",
            ) from error


def safe(text: str, pattern: re.Pattern[str], noun: str) -> str:
    """An id as a part of a path; what is none could lead out of it."""
    if not pattern.fullmatch(text):
        raise GatewayError(Problem(status=404, detail=f"There is no {noun} {text}."))
    return text

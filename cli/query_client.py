"""Questions over HTTP: asked, followed, and looked at afterwards."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import httpx

from cli import sse
from cli.gateway_errors import UnreachableError
from cli.gateway_http import CONNECT_S, GatewayHttp, safe
from cli.query_replies import Query
from cli.replies import Answer, Delta, Retrieved
from contracts.identifiers import TOKEN
from contracts.query_views import QueriesView

ANSWER_SLACK_S = 10.0
"""On top of a question's own deadline, after which the gateway has to have answered."""


class QueryClient(GatewayHttp):
    """Use as an asynchronous context manager. Every call raises `GatewayError` or `UnreachableError`."""

    async def query(self, body: Mapping[str, Any], *, deadline_s: float) -> Answer:
        """Ask, or search, and wait for the end. `body` is that of `POST /v1/query`."""
        timeout = httpx.Timeout(deadline_s + ANSWER_SLACK_S, connect=CONNECT_S)
        asked = {**body, "deadline_s": deadline_s, "stream": False}
        return self.read(Answer, (await self.request("POST", "/v1/query", json=asked, timeout=timeout)).json())

    async def stream(
        self, body: Mapping[str, Any], *, deadline_s: float
    ) -> AsyncGenerator[Retrieved | Delta | Answer, None]:
        """Ask, and yield what comes: passages, pieces of text, then one `Answer`."""
        timeout = httpx.Timeout(deadline_s + ANSWER_SLACK_S, connect=CONNECT_S)
        asked = {**body, "deadline_s": deadline_s, "stream": True}
        async with self.streaming("POST", "/v1/query", json=asked, timeout=timeout) as response:
            async for event in sse.events(response.aiter_lines()):
                reply = self._event(event)
                if reply is not None:
                    yield reply
                if isinstance(reply, Answer):
                    return
        raise UnreachableError(self.url, "the stream broke off before the answer ended")

    async def queries(self, parameters: Mapping[str, Sequence[str]]) -> QueriesView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self.read(QueriesView, (await self.request("GET", "/v1/queries", params=parameters)).json())

    async def asked(self, query_id: str) -> Query:
        """Where a question stands that was asked before, and what came of it."""
        path = f"/v1/queries/{safe(query_id, TOKEN, 'question')}"
        return self.read(Query, (await self.request("GET", path)).json())

    def _event(self, event: sse.ServerSentEvent) -> Retrieved | Delta | Answer | None:
        data = json.loads(event.data)
        if event.event == "retrieved":
            return self.read(Retrieved, data)
        if event.event == "delta":
            return self.read(Delta, data)
        return self.read(Answer, data) if event.event in {"completed", "failed", "cancelled"} else None

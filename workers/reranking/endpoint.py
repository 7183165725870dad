"""A reranker that is served elsewhere: vLLM, text-embeddings-inference, llama.cpp, Jina, Cohere and others of `/rerank`."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np
from pydantic import JsonValue

from contracts.endpoints import EndpointAddress, parse_endpoints
from contracts.errors import ErrorCode
from contracts.model_settings import RERANK_ROUTE, RerankerSettings
from contracts.settings_source import variable
from workers.endpoints.errors import EndpointsUnfitError, RequestRefusedError, while_running, while_starting
from workers.endpoints.faults import Fault, FaultKind, GivenUp, StrangeReplyError
from workers.endpoints.pool import EndpointPool
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.serving import ServedModel, pool_of
from workers.reranking.base import Scores
from workers.text.surrogates import sendable

CONNECT_S = 1.0
LIMIT = TimeLimit(seconds=30.0, setting="the time for reranking")
"""The caller's patience ends earlier; this ends what nobody waits for."""
TOO_SLOW = Fault(
    kind=FaultKind.FAILURE,
    label="given_up",
    reason=f"did not reply in the time that there was ({variable('reranker_timeout_s')})",
)
"""A server that hangs is left out for this; nobody waits until its own time is up."""
PATIENCE = 0.5
"""Of the time for reranking: a question that waits for less, or is cancelled before, says nothing about the server."""
SAMPLE = ("Does it work?", ("It works.", "Bees dance on the comb."))


class Form(Enum):
    """The two ways to ask; the answers differ as little as these."""

    DOCUMENTS = "documents"
    TEXTS = "texts"
    """text-embeddings-inference's."""

    def body(self, model: str, query: str, texts: Sequence[str]) -> dict[str, JsonValue]:
        if self is Form.TEXTS:
            return {"query": query, "texts": list(texts), "truncate": True}
        return {"model": model, "query": query, "documents": list(texts), "top_n": len(texts)}


class EndpointReranker:
    """A `Reranker` over `/rerank`. When an endpoint fails the next one is asked, each once in a call.

    Which of the forms they take is found by trying. Whatever is wrong with them as a whole (key, model, address) is a
    `PermanentError` while the process starts, and later a `TransientError`.
    """

    def __init__(self, settings: RerankerSettings) -> None:
        """Raises `PermanentError` when the settings name no endpoint."""
        purpose = Purpose(
            variables=variable("reranker"),
            operation="rerank",
            route=RERANK_ROUTE,
            model=settings.reranker_model,
            code=ErrorCode.RETRIEVAL_FAILED,
            addresses=f"an address is what comes before {RERANK_ROUTE}",
            too_long=f"lower {variable('chunk_tokens')}, or have the server cut texts",
        )
        self.pool: EndpointPool = pool_of(
            purpose, _addresses(settings), api_key=settings.reranker_api_key, connect_s=CONNECT_S
        )
        self._model = ServedModel(self.pool)
        self._given_up = GivenUp(fault=TOO_SLOW, after_s=PATIENCE * settings.reranker_timeout_s)
        self._form: Form | None = None

    @property
    def endpoints(self) -> EndpointReranker:
        return self

    async def failed(self) -> None:
        await self.pool.failed()

    async def start(self) -> None:
        await self.pool.start()
        query, texts = SAMPLE
        try:
            with while_starting():
                await self._ask(query, texts)
        except RequestRefusedError as error:
            raise EndpointsUnfitError(
                f"the reranking server does not even take a plain sentence ({error}): "
                f"check {self.pool.purpose.setting('MODEL')}",
                code=error.code,
            ) from error

    async def rerank(self, query: str, texts: Sequence[str]) -> Scores:
        if not texts:
            return np.zeros(0)
        with while_running():
            return await self._ask(query, texts)

    async def close(self) -> None:
        await self.pool.close()

    async def _ask(self, query: str, texts: Sequence[str]) -> Scores:
        """In the form that is known to be taken, else in one after the other. Raises what the first one came to."""
        if self._form is not None:
            return await self._ask_in(self._form, query, texts)
        try:
            return await self._ask_in(Form.DOCUMENTS, query, texts)
        except RequestRefusedError as refused:
            try:
                return await self._ask_in(Form.TEXTS, query, texts)
            except RequestRefusedError:
                raise refused from None

    async def _ask_in(self, form: Form, query: str, texts: Sequence[str]) -> Scores:
        body = form.body(self.pool.model, sendable(query), [sendable(text) for text in texts])
        scores = await self._model.ask(
            body, read=lambda reply: _scores(reply, len(texts)), limit=LIMIT, pauses_s=(), given_up=self._given_up
        )
        self._form = form
        return scores


def _addresses(settings: RerankerSettings) -> Sequence[EndpointAddress]:
    if settings.reranker_endpoints is None:
        return ()
    return parse_endpoints(settings.reranker_endpoints, key_setting=variable("reranker_api_key"), route=RERANK_ROUTE)


def _scores(reply: Any, count: int) -> Scores:
    """In the order of the texts. Raises `StrangeReplyError` for a reply of another shape."""
    try:
        rows = reply if isinstance(reply, list) else reply.get("results", reply.get("data"))
        places = [operator.index(row["index"]) for row in rows]
        given = [float(row["relevance_score"] if "relevance_score" in row else row["score"]) for row in rows]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise StrangeReplyError(f"answers with something else than scores ({type(error).__name__}: {error})") from error
    if sorted(places) != list(range(count)) or not all(map(math.isfinite, given)):
        raise StrangeReplyError(f"does not answer with one score for each of {count} texts")
    scores = np.empty(count)
    scores[places] = given
    return scores

"""Models over the endpoints of a test, and replies from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.metrics import Meter

from contracts.endpoints import Balance
from contracts.generator_settings import ChatEndpointSettings
from tests.support.chat_servers import MODEL, ChatServer
from workers.endpoints.probing import ProbePauses
from workers.generate.chat.model import ChatMessage, ReplyEnd, ReplyText, Role, Sampling
from workers.generate.chat.openai import OpenAIChatModel, build_openai_model

ASKED = (
    ChatMessage(role=Role.SYSTEM, content="Answer briefly."),
    ChatMessage(role=Role.USER, content="What do bees do?"),
)
SAMPLING = Sampling(max_tokens=50)
BRISK = ProbePauses(first_s=0.02, max_s=0.1, timeout_s=1.0)


@asynccontextmanager
async def model_over(
    servers: Sequence[ChatServer], *, meter: Meter | None = None, **settings: Any
) -> AsyncIterator[OpenAIChatModel]:
    """A started model over `servers`; `settings` are those that are not the usual ones of a test."""
    given = {
        "generator_endpoints": ", ".join(server.url for server in servers),
        "generator_model": MODEL,
        "generator_balance": Balance.ROUND_ROBIN,
        **settings,
    }
    model = build_openai_model(ChatEndpointSettings(**given), pauses=BRISK)
    await model.start(meter)
    running = asyncio.create_task(model.run())
    try:
        yield model
    finally:
        running.cancel()
        await asyncio.wait({running})
        await model.close()


async def replied(model: OpenAIChatModel, sampling: Sampling = SAMPLING) -> tuple[str, ReplyEnd]:
    """The whole text, and how it ended."""
    *texts, end = [item async for item in model.reply(ASKED, sampling)]
    assert isinstance(end, ReplyEnd)
    return "".join(item.text for item in texts if isinstance(item, ReplyText)), end

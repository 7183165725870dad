"""A conversation as a question with what was said before it."""

from __future__ import annotations

from contracts.queries import MAX_QUERY_CHARACTERS, MAX_TURN_CHARACTERS, MAX_TURNS, GenerationParameters, Turn
from gateway import problems
from gateway.openai_api.schemas import MODEL, ChatBody, ChatMessage
from gateway.problems import Problem
from gateway.query_schemas import QueryBody


def question_of(body: ChatBody) -> QueryBody:
    """Raises a 404 problem for a model that there is not, and a 422 problem where the last message is no question."""
    if body.model != MODEL:
        raise Problem(404, "model_not_found", f"There is no model {body.model}: the one to ask is {MODEL}.")
    spoken = [message for message in body.messages if message.role in {"user", "assistant"} and message.text.strip()]
    if not spoken or spoken[-1].role != "user" or spoken[-1] is not _last(body):
        raise problems.invalid("messages: the last one has to be the user's, and hold the question as text.")
    *before, asked = spoken
    if len(asked.text.strip()) > MAX_QUERY_CHARACTERS:
        raise problems.invalid(f"messages: the question may have {MAX_QUERY_CHARACTERS} characters.")
    extension = body.extension
    question = QueryBody(
        query=asked.text.strip(),
        messages=tuple(_turn(message) for message in before[-MAX_TURNS:]),
        mode=extension.mode,
        filters=extension.filters,
        stream=bool(body.stream),
        deadline_s=extension.deadline_s,
        generation=GenerationParameters(
            max_tokens=body.max_completion_tokens or body.max_tokens,
            temperature=body.temperature,
            stop=(body.stop,) if isinstance(body.stop, str) else body.stop or (),
            seed=body.seed,
        ),
        cache=extension.cache,
    )
    return question if extension.top_k is None else question.model_copy(update={"top_k": extension.top_k})


def _last(body: ChatBody) -> ChatMessage:
    return body.messages[-1]


def _turn(message: ChatMessage) -> Turn:
    """The beginning of what is longer than a turn may be."""
    return Turn(
        role="user" if message.role == "user" else "assistant",
        content=message.text.strip()[:MAX_TURN_CHARACTERS].strip(),
    )

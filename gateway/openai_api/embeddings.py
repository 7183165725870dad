"""`/v1/embeddings`, for clients of OpenAI's API."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from contracts.api_keys import Scope
from contracts.encoding import TextKind
from contracts.errors import ErrorCode, PermanentError
from gateway import problems
from gateway.backend import connected_backend
from gateway.encoding import Encoded, EncodersExchangedError, Encoding, Wanted
from gateway.identity import Identity, permitted
from gateway.openai_api.embedding_schemas import NO_TOKENS, EmbeddingList, EmbeddingsBody
from gateway.openai_api.schemas import MODEL
from gateway.openai_api.vectors import VectorList
from gateway.openapi import json_body, refusals
from gateway.problems import Problem
from gateway.routing import DirectRoute
from gateway.waiting import awaited
from messaging.encoding import EncodersBusyError, OtherDimensionError, OtherModelError, TextRefusedError

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

CROWDED: Final = f"The JSON body has far more members than any request here takes. If these are tokens: {NO_TOKENS}."
KINDS: Final = {"passage": TextKind.PASSAGES, "query": TextKind.QUESTIONS}


async def embed(request: Request) -> Response:
    """Vectors of texts, as an OpenAI client asks for them: those that the index would hold, or those that questions are searched with."""
    identity, backend = permitted(request, Scope.QUERY), connected_backend(request)
    limits = backend.limits
    body = await backend.json.read(request, EmbeddingsBody, at_most=limits.embeddings_bytes, crowded=CROWDED)
    encoding = backend.encoders.encoding(_wanted(identity, body))
    async with AsyncExitStack() as resources:
        resources.enter_context(backend.encoders.holding(identity.tenant, len(body.input)))
        stopping = problems.unavailable("The gateway is stopping, and not all texts are encoded; ask again.")
        done = _done(encoding, within_s=body.extension.deadline_s)
        encoded = await awaited(backend, request, done, stopping=stopping)
        return VectorList(
            encoded,
            as_numbers=body.encoding_format != "base64",
            within_s=limits.embeddings_sent_s,
            resources=resources.pop_all(),
        )


router.add_api_route(
    "/embeddings",
    embed,
    methods=["POST"],
    response_model=EmbeddingList,
    responses=refusals(400, 404, 413, 415, 429, 500, 503, 504),
    openapi_extra=json_body(EmbeddingsBody),
    route_class_override=DirectRoute,
)


def _wanted(identity: Identity, body: EmbeddingsBody) -> Wanted:
    return Wanted(
        tenant=identity.tenant,
        principal=identity.principal,
        texts=body.input,
        kind=KINDS[body.extension.input_type],
        model=None if body.model == MODEL else body.model,
        dimension=body.dimensions,
    )


async def _done(encoding: Encoding, *, within_s: float) -> Encoded:
    """Raises a problem that says whose fault it is, or `TransientError`."""
    try:
        return await encoding.done(within_s=within_s)
    except TextRefusedError as error:
        raise _unusable(f"input.{error.position}", str(error)) from error
    except OtherDimensionError as error:
        raise _unusable("dimensions", str(error)) from error
    except OtherModelError as error:
        raise Problem(404, "model_not_found", problems.sentence(error)) from error
    except EncodersBusyError as error:
        raise problems.busy("The encoders have their hands full: nothing was encoded.") from error
    except EncodersExchangedError as error:
        raise problems.unavailable("The encoder is being exchanged for another one; ask again.") from error
    except PermanentError as error:
        raise Problem(500, ErrorCode.ENCODING_FAILED, problems.sentence(error)) from error
    except TimeoutError as error:
        detail = f"The texts were not encoded within {within_s:g} s: ask for fewer at a time, or allow more time."
        raise Problem(504, ErrorCode.DEADLINE_EXCEEDED, detail) from error


def _unusable(field: str, message: str) -> Problem:
    return problems.invalid(f"{field}: {message}.", [{"field": field, "message": message}])

"""`/v1/models`, for clients of OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path

from contracts.health import FACT_ENCODER
from gateway.backend import Backend, Connected
from gateway.identity import Asks
from gateway.openai_api.schemas import MODEL, ModelList, ModelView
from gateway.openapi import refusals
from gateway.problems import Problem

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])

MADE: Final = 1_767_225_600
"""When the models came to be, which clients want to know: seconds since 1970."""


@router.get("/models", response_model=ModelList)
async def list_models(_: Asks, backend: Connected) -> ModelList:
    """The one that answers, from documents; and the encoder, as the workers that have it say."""
    return ModelList(data=[_model(name) for name in (MODEL, *_encoders(backend))])


@router.get("/models/{model}", response_model=ModelView, responses=refusals(404))
async def show_model(
    _: Asks, backend: Connected, model: Annotated[str, Path(max_length=256, examples=[MODEL])]
) -> ModelView:
    """One of them."""
    known = (MODEL, *_encoders(backend))
    if model not in known:
        raise Problem(404, "model_not_found", f"There is no model {model}: there is {', '.join(known)}.")
    return _model(model)


def _encoders(backend: Backend) -> list[str]:
    """Of two while one is exchanged for the other."""
    facts = (member.heartbeat.facts for member in backend.fleet.members() if member.alive)
    return sorted({told[FACT_ENCODER] for told in facts if FACT_ENCODER in told})


def _model(name: str) -> ModelView:
    return ModelView(id=name, created=MADE)

"""`/v1/rules/{name}`: rules that people put in force while everything runs."""

from __future__ import annotations

from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Path
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from contracts.identifiers import Token
from gateway import problems
from gateway.audited import AuditedRoute
from gateway.backend import Connected
from gateway.identity import Operates
from gateway.limits import KiB
from gateway.openapi import json_body, refusals
from gateway.schemas import Wire

BODY_BYTES: Final = 1024 * KiB
"""Half of that is the most that a text may have; the rest is for what JSON makes of it."""

router = APIRouter(prefix="/v1/rules", tags=["observer"], route_class=AuditedRoute)

RulesName = Annotated[Token, Path(description="What the rules are called.", examples=["mine"])]

log = structlog.get_logger(__name__)


class RuleText(Wire):
    """A Prometheus rule file."""

    text: str = Field(
        min_length=1,
        max_length=512 * KiB,
        description="YAML.",
        examples=["groups: [{name: mine, rules: [{alert: Quiet, expr: 'sum(rate(waggle_queries_total[5m])) == 0'}]}]"],
    )


@router.put("/{name}", status_code=204, responses=refusals(400, 413, 415, 422, 503), openapi_extra=json_body(RuleText))
async def put_rules(request: Request, identity: Operates, backend: Connected, name: RulesName) -> Response:
    """Put rules in force, in place of those of that name. Faulty ones are refused whole, with every line and reason."""
    # Rules need what a gateway does without otherwise.
    from messaging.rule_texts import RuleTextRefusedError, RuleTexts
    from observability.rules import RuleFileError

    body = await backend.json.read(request, RuleText, at_most=BODY_BYTES)
    try:
        await RuleTexts(backend.broker).put(name, body.text)
    except (RuleFileError, RuleTextRefusedError) as error:
        raise problems.invalid(f"These rules are refused: {error}") from None
    log.info("rules put in force", rules=name, by=identity.principal)
    return Response(status_code=204)


@router.delete("/{name}", status_code=204, responses=refusals(404, 422, 503))
async def remove_rules(identity: Operates, backend: Connected, name: RulesName) -> Response:
    """Have rules in force no more; their alerts end. Rules of files are not removed here."""
    from messaging.rule_texts import RuleTexts

    if not await RuleTexts(backend.broker).remove(name):
        raise problems.not_found(f"No rules were put in force as {name}.")
    log.info("rules removed", rules=name, by=identity.principal)
    return Response(status_code=204)

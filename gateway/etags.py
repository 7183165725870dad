"""Conditional requests (RFC 9110, section 13): what has not changed is not sent, and what has changed is not overwritten."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import Header
from starlette.responses import Response

from contracts.identifiers import digest
from gateway import problems
from gateway.problems import Problem, ProblemCode

UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {304: {"description": "It is as `If-None-Match` says."}}
_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')

IfNoneMatch = Annotated[
    str | None,
    Header(description="`ETag` of what is known: unless it has changed the answer is 304.", examples=['"3"']),
]
IfMatch = Annotated[
    str | None,
    Header(description="`ETag` of the revision that has to be current; another answers 412.", examples=['"3"']),
]


def tag_of(body: str) -> str:
    """A strong tag of a representation."""
    return f'"{digest(body)[:32]}"'


def revision_tag(number: int, *, weak: bool = False) -> str:
    """The tag of a numbered revision. `weak`: of an answer that holds other things, too, which may change."""
    return f'{"W/" if weak else ""}"{number}"'


def conditional(response: Response, tag: str, if_none_match: str | None) -> Response:
    """The response with its tag, or 304 for who knows it."""
    if if_none_match is not None and _names(if_none_match, tag):
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response


def expected_revision(if_match: str | None, said: int | None) -> int | None:
    """The revision that has to be current: as the header says, or else the body. Raises a 422 problem where they say different
    things, or no revision.
    """
    if if_match is None or if_match.strip() == "*":
        return said
    found = _TAG.fullmatch(if_match.strip())
    if found is None or not found[1].isdecimal() or len(found[1]) > 18:
        raise problems.invalid('If-Match: name one revision as its ETag does, such as "3".')
    number = int(found[1])
    if said is not None and said != number:
        raise problems.invalid(f"If-Match names revision {number}, and expected_revision {said}: say one of them.")
    return number


def changed(detail: str) -> Problem:
    """It is another one by now than the condition of the request says."""
    return Problem(412, ProblemCode.CHANGED, detail)


def _names(if_none_match: str, tag: str) -> bool:
    """By weak comparison."""
    if if_none_match.strip() == "*":
        return True
    wanted = _TAG.fullmatch(tag)
    return wanted is not None and wanted[1] in {found[1] for found in _TAG.finditer(if_none_match)}

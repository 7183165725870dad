"""Parameters in the address and in a form, read as Go's `Request.Form` does."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from contracts.observing import MOST_NAMES, MOST_VALUES
from gateway import problems
from gateway.bodies import Body
from gateway.limits import Limits

FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = MOST_NAMES * MOST_VALUES


async def parameters_of(request: Request, limits: Limits, *, at_most: int) -> dict[str, list[str]]:
    """Every value of every parameter, those of the body first.

    Raises 400, 408, 413 and 415 problems: what is no form, came too slowly, is larger than `at_most` bytes, or is of another
    type.
    """
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        pairs = await _form(request, limits, at_most=at_most) + pairs
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


async def _form(request: Request, limits: Limits, *, at_most: int) -> list[tuple[str, str]]:
    body = await Body(request, limits).read(at_most=at_most)
    if not body:
        return []
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != FORM:
        raise problems.unsupported_media_type(f"Send the parameters as {FORM}, or in the address.")
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise problems.malformed(f"The form cannot be read: {error}.") from error

"""What the gateway refuses, and that it cannot be reached, as errors of commands."""

from __future__ import annotations

from typing import Any, Final

import httpx

from cli.exits import CommandError, Exit
from cli.replies import Problem

_WRONG_USAGE: Final = frozenset({400, 422})
_COMMANDS: Final = {
    "/v1/documents": "waggle documents ls",
    "/v1/incidents": "waggle incidents",
    "/v1/keys": "waggle keys ls",
    "/v1/silences": "waggle alerts silences",
    "/v1/alerts/history": "waggle alerts history",
}
"""What does here what the gateway advises those who speak HTTP."""


class GatewayError(CommandError):
    """The gateway refused. `retry_after_s` is when it said to come back, None when it did not."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        code = Exit.USAGE if problem.status in _WRONG_USAGE else Exit.FAILED
        said = problem.detail or problem.title or f"the gateway answered {problem.status}"
        for path, command in _COMMANDS.items():
            said = said.replace(f"`{path}`", f"`{command}`")
        super().__init__(said, code=code)
        self.problem = problem
        self.retry_after_s = retry_after_s


class UnreachableError(CommandError):
    """Nobody answers at the gateway's address, or the connection broke."""

    def __init__(self, url: str, reason: str) -> None:
        hint = "Start it with `waggle up`, or set WAGGLE_URL to where it runs."
        super().__init__(f"cannot reach the gateway at {url}: {reason}", hint=hint, code=Exit.UNREACHABLE)


def raise_problem(response: httpx.Response) -> None:
    """Raises `GatewayError` for an answer that is an error."""
    if not response.is_error:
        return
    problem = {"title": response.reason_phrase, **json_of(response), "status": response.status_code}
    after = response.headers.get("retry-after", "")
    raise GatewayError(Problem.model_validate(problem), retry_after_s=float(after) if after.isdecimal() else None)


def json_of(response: httpx.Response) -> dict[str, Any]:
    """The members of a JSON object; none of any other answer."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

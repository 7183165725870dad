"""`waggle queries ls|show`: the questions of the last days, and what came of one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from cli.asking import print_citations
from cli.client import Parameters
from cli.gateway_http import PAGE
from cli.moments import beginning_of, moment_of, shown
from cli.newest import newest
from cli.output import Json, console, messages, print_json, table
from cli.query_replies import KeptAnswer, Query
from cli.target import gateway
from contracts.errors import ErrorCode
from contracts.query_views import QueryEntry, QueryState

_STYLES: Final = {QueryState.COMPLETED: "green", QueryState.FAILED: "red", QueryState.CANCELLED: "yellow"}

app = typer.Typer()
queries = typer.Typer(no_args_is_help=True, help="Questions that were asked: list, show.")
app.add_typer(queries, name="queries")


@queries.command("ls")
def ls(
    since: Annotated[str, typer.Option(help="How far back: 90m, 7d, or a time.")] = "1h",
    until: Annotated[str | None, typer.Option(help="Up to this time; default: now.")] = None,
    state: Annotated[list[QueryState] | None, typer.Option(help="Only in this state; several may be given.")] = None,
    code: Annotated[ErrorCode | None, typer.Option(help="Only those that failed for this reason.")] = None,
    answered: Annotated[
        bool | None,
        typer.Option("--answered/--unanswered", help="Only those to which the documents held an answer, or none."),
    ] = None,
    limit: Annotated[int, typer.Option(help="Most questions, the newest; 0 lists all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """List the questions of the tenant, without their words, by when they ended, oldest first. Kept for seven days."""
    end = None if until is None else moment_of(until, "--until")
    asked = {
        "since": [beginning_of(since, "--since", end=end).isoformat()],
        "until": [] if end is None else [end.isoformat()],
        "state": [*map(str, state or ())],
        "code": [] if code is None else [str(code)],
        "answered": [] if answered is None else [str(answered).lower()],
        "limit": [str(PAGE)],
    }
    found, more = asyncio.run(_entries(asked, limit))
    if as_json:
        print_json({"items": [entry.model_dump(mode="json") for entry in found], "more": more})
        return
    console().print(queries_table(found) if found else "No questions.")
    if more:
        messages().print(f"The last {limit} are shown; --limit 0 lists all.", style="dim")


@queries.command("show")
def show(query_id: str, as_json: Json = False) -> None:
    """A question, and what came of it: the answer with its citations, or why there is none. Kept for half an hour."""
    query = asyncio.run(_show(query_id))
    if as_json:
        print_json(query.plain())
        return
    console().print(Text.assemble(query.query_id, "  ", (query.state, _style(query.state))))
    if query.result is not None:
        _print_result(query, query.result)


def queries_table(entries: Iterable[QueryEntry]) -> Table:
    """In the order given."""
    rows = table("at", "question", "state", "what came of it", "by", whole=frozenset({"at", "question"}))
    for entry in entries:
        rows.add_row(
            shown(entry.at),
            entry.query_id,
            Text(entry.state.value, _style(entry.state)),
            _outcome(entry),
            entry.by or "",
        )
    return rows


def _outcome(entry: QueryEntry) -> str:
    if entry.state is QueryState.RUNNING:
        return f"ends by {shown(entry.ends_by)}"
    if entry.state is not QueryState.COMPLETED:
        return _failure(entry.code, entry.message)
    if entry.answered is None:
        return f"found {entry.passages or 0}"
    return ("answered" if entry.answered else "no answer") + (", from the cache" if entry.cached else "")


def _failure(code: str | None, message: str | None) -> str:
    return ": ".join(part for part in (code, message) if part)


def _style(state: str) -> str:
    return _STYLES.get(QueryState(state), "cyan") if state in set(QueryState) else ""


def _print_result(query: Query, result: KeptAnswer) -> None:
    if query.state != QueryState.COMPLETED:
        console().print(_failure(result.code, result.message))
    elif result.answer is None and result.passages is None:
        console().print("It was a search; what it found is not kept any more.")
    else:
        console().print(result.answer or f"It was a search, and found {len(result.passages or ())}.")
        print_citations(console(), result)


async def _entries(asked: Parameters, limit: int) -> tuple[list[QueryEntry], bool]:
    async with gateway() as client:
        return await newest(client.queries, asked, limit=limit)


async def _show(query_id: str) -> Query:
    async with gateway() as client:
        return await client.asked(query_id)

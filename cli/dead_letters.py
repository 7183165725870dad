"""`waggle dlq ls|show|replay|drop`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.client import GatewayClient, GatewayError
from cli.dead_letter_replies import DeadLetter, DeadLetterDetail, Refusal
from cli.exits import CommandError, Exit
from cli.output import Json, ago, console, messages, plain, print_json, size, table
from cli.target import gateway
from contracts import topology
from contracts.errors import ErrorCode

app = typer.Typer()
dlq = typer.Typer(no_args_is_help=True, help="Messages that were given up: list, show, send back, drop.")
app.add_typer(dlq, name="dlq")

PAGE = 50
SHOWN_REASON = 60

Stream = Annotated[str | None, typer.Option(help="Only of this stream, such as INGEST.")]
Code = Annotated[str | None, typer.Option(help="Only with this reason, such as retries_exhausted.")]
DocumentId = Annotated[str | None, typer.Option("--document", help="Only of this document.")]
QueryId = Annotated[str | None, typer.Option("--query", help="Only of this query.")]
Filters = dict[str, str]


@dlq.command("ls")
def ls(
    stream: Stream = None,
    code: Code = None,
    document: DocumentId = None,
    query: QueryId = None,
    limit: Annotated[int, typer.Option(help="Most letters listed; 0 lists all.", min=0)] = 50,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first."""
    found, more = asyncio.run(_list(_filters(stream, code, document, query), limit))
    if as_json:
        print_json({"items": plain(found), "more": more})
        return
    rows = table("letter", "of", "attempts", "code", "reason", "failed", right=frozenset({"attempts"}))
    for letter in found:
        of = letter.document_id or letter.query_id or letter.subject
        shown = (letter.id, of, str(letter.attempts), Text(letter.code, "red"), _shortened(letter.reason))
        rows.add_row(*shown, ago(letter.failed_at))
    console().print(rows if found else Text("No dead letters.", "green"))
    if more:
        messages().print(f"The first {limit} are shown; --limit 0 lists all.", style="dim")


@dlq.command("show")
def show(letter_id: str, as_json: Json = False) -> None:
    """A dead letter whole: why it failed, its headers and its payload."""
    detail = asyncio.run(_show(letter_id))
    if as_json:
        print_json(detail.plain())
        return
    letter = detail.letter
    rows = table("", "")
    rows.show_header = False
    for key, value in letter.plain().items():
        if value is not None and key not in {"reason", "size_bytes"}:
            rows.add_row(Text(key, "bold"), str(value))
    rows.add_row(
        Text("size", "bold"), size(letter.size_bytes) + (" (only its beginning was kept)" if detail.cut else "")
    )
    for name, header in sorted(detail.headers.items()):
        rows.add_row(Text(name, "bold dim"), header)
    console().print(rows)
    for depth, error in enumerate(detail.error_chain or (letter.reason,)):
        console().print(Text(f"{'  ' * depth}{'because of ' if depth else ''}{error}", "red"))
    console().print(_readable(detail))


@dlq.command("replay")
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(help="Letters to send back.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All letters, or all that match the filters.")] = False,
    stream: Stream = None,
    code: Code = None,
    document: DocumentId = None,
    query: QueryId = None,
    as_json: Json = False,
) -> None:
    """Send messages back to work. A failed document is run again as a new version, which clears its failure."""
    filters = _filters(stream, code, document, query)
    if bool(letter_ids) == every or (letter_ids and filters):
        raise CommandError(
            "name letters, or say --all with or without filters", hint="`waggle dlq ls` lists them.", code=Exit.USAGE
        )
    replayed, refused = asyncio.run(_replay_all(filters) if every else _replay_each(letter_ids or []))
    if as_json:
        print_json({"items": [{"id": i, "state": "replayed"} for i in replayed], "refused": plain(refused)})
    else:
        _print_results([(i, "") for i in replayed] + [(refusal.id, refusal.reason) for refusal in refused], "replayed")
    raise typer.Exit(Exit.FAILED if refused else Exit.OK)


@dlq.command("drop")
def drop(letter_ids: list[str], as_json: Json = False) -> None:
    """Throw dead letters away for good."""
    results = asyncio.run(_drop_each(letter_ids))
    if as_json:
        print_json({"items": [{"id": i, "dropped": not error, "error": error} for i, error in results]})
    else:
        _print_results(results, "dropped")
    raise typer.Exit(Exit.FAILED if any(error for _, error in results) else Exit.OK)


async def _list(filters: Filters, limit: int) -> tuple[list[DeadLetter], bool]:
    found: list[DeadLetter] = []
    async with gateway() as client:
        async for letter in _letters(client, filters):
            if limit and len(found) == limit:
                return found, True
            found.append(letter)
    return found, False


async def _letters(client: GatewayClient, filters: Filters) -> AsyncIterator[DeadLetter]:
    cursor: str | None = "0"
    while cursor is not None:
        page = await client.dead_letters(filters, limit=PAGE, cursor=cursor)
        for letter in page.items:
            yield letter
        cursor = page.next


async def _show(letter_id: str) -> DeadLetterDetail:
    async with gateway() as client:
        return await client.dead_letter(letter_id)


async def _replay_all(filters: Filters) -> tuple[list[str], list[Refusal]]:
    replayed, refused = list[str](), list[Refusal]()
    cursor: str | None = "0"
    async with gateway() as client:
        with messages().status("replaying") as status:
            while cursor is not None:
                done = await client.replay_dead_letters(filters, cursor=cursor)
                replayed += [item.id for item in done.items]
                refused += done.refused
                status.update(f"{len(replayed)} replayed, {len(refused)} refused")
                cursor = done.next
    return replayed, refused


async def _replay_each(letter_ids: list[str]) -> tuple[list[str], list[Refusal]]:
    replayed, refused = list[str](), list[Refusal]()
    async with gateway() as client:
        for letter_id in letter_ids:
            try:
                await client.replay_dead_letter(letter_id)
            except GatewayError as error:
                refused.append(Refusal(id=letter_id, reason=error.message))
            else:
                replayed.append(letter_id)
    return replayed, refused


async def _drop_each(letter_ids: list[str]) -> list[tuple[str, str]]:
    results = list[tuple[str, str]]()
    async with gateway() as client:
        for letter_id in letter_ids:
            try:
                await client.drop_dead_letter(letter_id)
            except GatewayError as error:
                results.append((letter_id, error.message))
            else:
                results.append((letter_id, ""))
    return results


def _print_results(results: list[tuple[str, str]], done: str) -> None:
    for letter_id, error in results:
        mark = Text("✗ ", "red") if error else Text("✓ ", "green")
        console().print(Text.assemble(mark, letter_id, "  ", error or done))
    if not results:
        console().print("No dead letters.")


def _filters(stream: str | None, code: str | None, document: str | None, query: str | None) -> Filters:
    _require_known("--stream", stream, [each.name for each in topology.STREAMS])
    _require_known("--code", code, list(ErrorCode))
    given = {"stream": stream, "code": code, "document_id": document, "query_id": query}
    return {name: value for name, value in given.items() if value is not None}


def _require_known(option: str, given: str | None, known: Sequence[str]) -> None:
    """A misspelt filter finds nothing, which looks like good news."""
    if given is not None and given not in known:
        raise CommandError(f"{option}: there is no {given}", hint=f"There are: {', '.join(known)}.", code=Exit.USAGE)


def _readable(detail: DeadLetterDetail) -> str:
    """The payload; JSON is indented."""
    try:
        body: Any = json.loads(detail.payload) if detail.payload_encoding == "utf-8" else None
    except ValueError:
        body = None
    return detail.payload if body is None else json.dumps(body, ensure_ascii=False, indent=2)


def _shortened(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= SHOWN_REASON else line[: SHOWN_REASON - 1] + "…"

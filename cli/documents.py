"""`waggle documents ls|show|rm`."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.text import Text

from cli.client import GatewayClient, GatewayError
from cli.exits import Exit
from cli.moments import beginning_of
from cli.output import Json, ago, console, messages, plain, print_json, size, table
from cli.replies import Document
from cli.target import gateway

app = typer.Typer()
documents = typer.Typer(no_args_is_help=True, help="List, show and delete documents.")
app.add_typer(documents, name="documents")

PAGE = 100
_STYLES = {"ready": "green", "failed": "red", "deleted": "dim"}


@documents.command("ls")
def ls(
    state: Annotated[
        str | None, typer.Option(help="Only submitted, processing, ready, failed or deleted ones.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Only names that begin so; listed in the order of names.", metavar="PREFIX")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="Only with this pair; several may be given.", metavar="KEY=VALUE")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only submitted since then: 2h, 7d, or a time.")] = None,
    limit: Annotated[int, typer.Option(help="Most documents listed; 0 lists all.", min=0)] = 50,
    as_json: Json = False,
) -> None:
    """List documents, newest first."""
    conditions = {
        "name_prefix": name,
        "metadata": metadata or None,
        "since": None if since is None else beginning_of(since, "--since").isoformat(),
    }
    found, more = asyncio.run(_list(state, limit, conditions))
    if as_json:
        print_json({"items": plain(found), "more": more})
        return
    rows = table(
        "document", "name", "state", "version", "chunks", "size", "changed", right=frozenset({"chunks", "size"})
    )
    for each in found:
        chunks = "" if each.chunks is None else str(each.chunks)
        shown = (each.document_id, each.name, _state(each), str(each.version), chunks, size(each.size_bytes))
        rows.add_row(*shown, ago(each.updated_at))
    console().print(rows if found else "No documents." if state is None else f"No {state} documents.")
    if more:
        messages().print(f"The first {limit} are shown; --limit 0 lists all.", style="dim")


@documents.command("show")
def show(document_id: str, as_json: Json = False) -> None:
    """Everything that is known of a document."""
    document = asyncio.run(_show(document_id))
    if as_json:
        print_json(document.plain())
        return
    rows = table("", "")
    rows.show_header = False
    for key, value in document.plain().items():
        if value not in (None, {}) and key != "failure":
            rows.add_row(Text(key, "bold"), str(value))
    console().print(rows)
    if document.failure is not None:
        console().print(Text.assemble((document.failure.code, "red"), f": {document.failure.message}"))


@documents.command("rm")
def rm(document_ids: list[str], as_json: Json = False) -> None:
    """Delete documents: from then on nothing of them is found."""
    results = asyncio.run(_delete(document_ids))
    if as_json:
        print_json({"items": [{"document_id": i, "deleted": not error, "error": error} for i, error in results]})
    for document_id, error in results if not as_json else ():
        mark = Text("✗ ", "red") if error else Text("✓ ", "green")
        console().print(Text.assemble(mark, document_id, "  ", error or "deleted"))
    raise typer.Exit(Exit.FAILED if any(error for _, error in results) else Exit.OK)


async def _list(state: str | None, limit: int, conditions: dict[str, Any]) -> tuple[list[Document], bool]:
    found: list[Document] = []
    cursor: str | None = None
    async with gateway() as client:
        while True:
            wanted = min(PAGE, limit - len(found)) if limit else PAGE
            states = [state] if state else []
            page = await client.documents(states=states, limit=wanted, cursor=cursor, conditions=conditions)
            found += page.items
            cursor = page.next
            if cursor is None or (limit and len(found) >= limit):
                return found, cursor is not None


async def _show(document_id: str) -> Document:
    async with gateway() as client:
        return await client.document(document_id)


async def _delete(document_ids: list[str]) -> list[tuple[str, str]]:
    async with gateway() as client:
        return [(document_id, await _delete_one(client, document_id)) for document_id in document_ids]


async def _delete_one(client: GatewayClient, document_id: str) -> str:
    """What went wrong; empty when it is deleted."""
    try:
        await client.delete_document(document_id)
    except GatewayError as error:
        return error.message
    return ""


def _state(document: Document) -> Text:
    reason = f" ({document.failure.code})" if document.failure else ""
    return Text.assemble((document.state, _STYLES.get(document.state, "yellow")), reason)

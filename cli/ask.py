"""`waggle ask` and `waggle search`."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from cli.asking import Shown, ask_streaming, print_citations
from cli.client import GatewayClient
from cli.exits import CommandError
from cli.filters import metadata_filters
from cli.output import Json, console, messages, print_json
from cli.replies import Answer, Passage
from cli.target import gateway
from contracts.errors import ErrorCode

app = typer.Typer()

DEFAULT_DEADLINE_S = 30.0
_EXCERPT = 240


class Mode(StrEnum):
    HYBRID = "hybrid"
    VECTOR = "vector"
    KEYWORD = "keyword"


TopK = Annotated[int, typer.Option("--top-k", "-k", help="Passages looked at.", min=1, max=50)]
SearchMode = Annotated[Mode, typer.Option(help="Which side of the index is asked.")]
Documents = Annotated[list[str] | None, typer.Option("--document", help="Only in this document id, repeatable.")]
Filter = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        help="Only where metadata is so, repeatable: 'lang=en|de', 'path^=docs/', 'year>=2020', 'date<2024-05-01'.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", help="Only where metadata KEY=VALUE, the value as it stands, repeatable."),
]
Deadline = Annotated[float, typer.Option(help="Seconds until there has to be an answer.", min=0.1, max=300)]


@app.command()
def ask(
    question: str,
    top_k: TopK = 5,
    mode: SearchMode = Mode.HYBRID,
    document: Documents = None,
    filter: Filter = None,
    where: Where = None,
    max_tokens: Annotated[int | None, typer.Option(help="Longest answer, in tokens.")] = None,
    deadline: Deadline = DEFAULT_DEADLINE_S,
    as_json: Json = False,
) -> None:
    """Answer a question from the documents, with where each sentence comes from."""
    body = _body(question, top_k, mode, _filters(document, filter, where))
    if max_tokens is not None:
        body["generation"] = {"max_tokens": max_tokens}
    answer = asyncio.run(_ask(body, deadline, as_json=as_json))
    _refuse_unanswered(answer)


@app.command()
def search(
    query: str,
    top_k: TopK = 5,
    mode: SearchMode = Mode.HYBRID,
    document: Documents = None,
    filter: Filter = None,
    where: Where = None,
    deadline: Deadline = DEFAULT_DEADLINE_S,
    as_json: Json = False,
) -> None:
    """Find passages, best first, without an answer."""
    body = _body(query, top_k, mode, _filters(document, filter, where)) | {"generate": False}
    answer = asyncio.run(_query(body, deadline))
    if as_json:
        print_json(answer.plain())
    else:
        _print_passages(console(), answer.passages)
    _refuse_unanswered(answer)


def _body(query: str, top_k: int, mode: Mode, filters: dict[str, Any]) -> dict[str, Any]:
    return {"query": query, "top_k": top_k, "mode": mode.value, **({"filters": filters} if filters else {})}


def _filters(documents: list[str] | None, filters: list[str] | None, where: list[str] | None) -> dict[str, Any]:
    metadata = metadata_filters(filters or [], literal=where or [])
    return {**({"document_ids": documents} if documents else {}), **({"metadata": metadata} if metadata else {})}


async def _ask(body: dict[str, Any], deadline_s: float, *, as_json: bool) -> Answer:
    if as_json:
        answer = await _query(body, deadline_s)
        print_json(answer.plain())
        return answer
    screen = console()
    async with gateway() as client:
        answer = await ask_streaming(client, body, deadline_s=deadline_s, shown=Shown(screen))
        await _remark_on_emptiness(client, answer)
    print_citations(screen, answer)
    return answer


async def _query(body: dict[str, Any], deadline_s: float) -> Answer:
    async with gateway() as client:
        answer = await client.query(body, deadline_s=deadline_s)
        await _remark_on_emptiness(client, answer)
        return answer


async def _remark_on_emptiness(client: GatewayClient, answer: Answer) -> None:
    if answer.passages or answer.status != "completed" or (await client.documents(states=["ready"], limit=1)).items:
        return
    messages().print("No document is searchable yet: hand some in with `waggle ingest PATH`.", style="yellow")


def _print_passages(screen: Console, passages: tuple[Passage, ...]) -> None:
    if not passages:
        screen.print("Nothing was found.")
    for number, passage in enumerate(passages, start=1):
        excerpt = " ".join(passage.text.split())
        excerpt = excerpt if len(excerpt) <= _EXCERPT else excerpt[:_EXCERPT].rstrip() + "…"
        place = f"page {passage.page}" if passage.page else (passage.heading or "")
        head = (f"{number}. {passage.name}", "bold"), (f"  {place}" if place else ""), (f"  {passage.score:.3f}", "dim")
        screen.print(Text.assemble(*head))
        screen.print(f"   {excerpt}")


def _refuse_unanswered(answer: Answer) -> None:
    if answer.status != "completed":
        why = "; `waggle status` tells who waits for what" if answer.code == ErrorCode.DEADLINE_EXCEEDED else ""
        raise CommandError(f"the question {answer.status}: {answer.message}", hint=f"code: {answer.code}{why}")

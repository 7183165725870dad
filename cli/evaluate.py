"""`waggle evaluate`: how good the answers are, over questions whose answers are known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.client import GatewayClient
from cli.evaluation import Cited, Dataset, DatasetError, Document, Passage, Reply, Report, evaluate, load
from cli.exits import CommandError, Exit
from cli.interrupts import unless_interrupted
from cli.output import Json, console, messages, print_json, table
from cli.replies import Uploaded
from cli.target import gateway
from cli.uploading.patience import patiently, quiet_retries
from cli.uploading.submission import Outcome, Submission

app = typer.Typer()


@app.command("evaluate")
def evaluate_command(
    file: Annotated[Path, typer.Argument(help="Documents, questions and answers as JSON.")],
    documents: Annotated[Path | None, typer.Option(help="Where the documents lie that the file names.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many questions of each kind.", min=1)] = None,
    at_once: Annotated[int, typer.Option(help="Questions under way at a time.", min=1, max=64)] = 4,
    deadline: Annotated[float, typer.Option(help="Seconds that a question may take.", min=0.1, max=300)] = 60.0,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the documents at most.")] = 7200.0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the documents there.")] = False,
    as_json: Json = False,
) -> None:
    """Submit the documents of FILE, ask all its questions, and print how many answers are right.

    Other documents that are there compete with them. Exit code 1 when a document failed or a question got no end.
    """
    quiet_retries()
    dataset = _shortened(_load(file, documents), limit)
    report = asyncio.run(
        _run(dataset, at_once=at_once, deadline_s=deadline, timeout_s=timeout, keep=keep, quiet=as_json)
    )
    if report is None:
        raise CommandError("interrupted: not all questions were asked, so there are no figures", code=Exit.INTERRUPTED)
    if as_json:
        print_json({"language": dataset.language, **asdict(report)})
    else:
        _print(dataset.language, report)


MOST_LISTED = 200
"""The gateway's own limit of a page."""


@dataclass(frozen=True)
class _Given:
    """A document of a dataset, to be submitted under the id that its questions name."""

    document: Document

    @property
    def name(self) -> str:
        return self.document.shown_name

    @property
    def document_id(self) -> str:
        return self.document.document_id

    async def send(self, client: GatewayClient, metadata: Mapping[str, str] | None) -> Uploaded:
        if self.document.path is not None:
            return await client.upload(
                self.document.path, name=self.name, document_id=self.document_id, metadata=metadata
            )
        return await client.submit_text(self.document.text or "", name=self.name, document_id=self.document_id)


async def _run(
    dataset: Dataset, *, at_once: int, deadline_s: float, timeout_s: float, keep: bool, quiet: bool
) -> Report | None:
    """None when it was interrupted."""

    async def measured() -> Report:
        await _ingest(client, dataset, timeout_s=timeout_s, quiet=quiet)
        with _bar("asking", quiet=quiet) as (bar, task):
            return await evaluate(
                dataset,
                lambda question: _ask(client, question, deadline_s),
                client.text,
                at_once=at_once,
                on_progress=lambda done, of: bar.update(task, completed=done, total=of),
            )

    async with gateway() as client:
        await client.ready()
        await _warn_of_others(client, dataset)
        try:
            return await unless_interrupted(measured())
        finally:
            if not keep:
                await _clean_up(client, dataset)


async def _ingest(client: GatewayClient, dataset: Dataset, *, timeout_s: float, quiet: bool) -> None:
    sources = [_Given(document) for document in dataset.documents]
    with _bar("documents", quiet=quiet) as (bar, task):
        bar.update(task, total=len(sources))

        def ended(_: Outcome) -> None:
            bar.advance(task)

        outcomes = await Submission(client, sources, ended, deadline_s=timeout_s).run()
    failed = [outcome for outcome in outcomes if outcome.state != "ready"]
    if failed:
        reason = failed[0].failure.message if failed[0].failure else ""
        raise CommandError(f"{len(failed)} documents are not ready, first {failed[0].source.name}: {reason}")


async def _warn_of_others(client: GatewayClient, dataset: Dataset) -> None:
    """Documents that are there compete with those of the dataset; copies of them make its figures worthless."""
    own = {document.document_id for document in dataset.documents}
    present = await client.documents(states=["ready"], limit=min(len(own) + 1, MOST_LISTED))
    if any(document.document_id not in own for document in present.items):
        messages().print(
            "These figures do not count! Other documents are there and compete with these, and copies of them make the "
            "figures worthless. Measure on an empty data folder (WAGGLE_DATA_DIR).",
            style="bold yellow",
        )


async def _ask(client: GatewayClient, question: str, deadline_s: float) -> Reply:
    answer = await patiently(lambda: client.query({"query": question, "cache": False}, deadline_s=deadline_s))
    return Reply(
        answer=answer.answer or "",
        answered=answer.answered,
        passages=tuple(Passage(document_id=p.document_id, text=p.text) for p in answer.passages),
        citations=tuple(
            Cited(document_id=c.document_id, start=c.start, end=c.end, quote=c.quote) for c in answer.citations
        ),
    )


async def _clean_up(client: GatewayClient, dataset: Dataset) -> None:
    for document in dataset.documents:
        await patiently(partial(client.delete_document, document.document_id))


def _load(file: Path, documents: Path | None) -> Dataset:
    try:
        return load(file, documents=documents)
    except DatasetError as error:
        raise CommandError(str(error), code=Exit.USAGE) from error


def _shortened(dataset: Dataset, limit: int | None) -> Dataset:
    shorter = {"questions": dataset.questions[:limit], "unanswerable": dataset.unanswerable[:limit]}
    return dataset.model_copy(update=shorter)


@contextmanager
def _bar(what: str, *, quiet: bool) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns, console=messages(), transient=True, disable=quiet) as bar:
        yield bar, bar.add_task("", total=None)


def _print(language: str, report: Report) -> None:
    rows = table("figure", language, right=frozenset({language}))
    for name, value in asdict(report).items():
        shown = "" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)
        rows.add_row(name.replace("_", " "), shown)
    console().print(rows)

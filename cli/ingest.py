"""`waggle ingest`: files, folders, globs and URLs into searchable documents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import httpx
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from cli.exits import CommandError, Exit
from cli.output import Json, console, counted, messages, print_json
from cli.target import gateway
from cli.uploading.files import FileSource, Source, find
from cli.uploading.patience import quiet_retries
from cli.uploading.submission import Outcome, Submission
from cli.uploading.urls import UrlSource, is_url

app = typer.Typer()


@app.command()
def ingest(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, folders, globs in quotes, or URLs for the gateway to fetch."),
    ],
    metadata: Annotated[list[str] | None, typer.Option("--metadata", "-m", help="KEY=VALUE, repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Glob of files to leave out, repeatable.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until every document can be found.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.")] = 3600.0,
    as_json: Json = False,
) -> None:
    """Submit documents and wait until each is ready or has failed.

    URLs are fetched by the gateway, where WAGGLE_URL_INGESTION allows it. A file that is submitted again, changed, becomes a new version of its document; unchanged, nothing is redone. Exit
    code 1 when any has failed.
    """
    quiet_retries()
    pairs = _pairs(metadata or [])
    sources = _sources(paths, exclude or [])
    outcomes = list[Outcome]()
    try:
        with progress(len(sources), quiet=as_json) as show:
            asyncio.run(_run(sources, metadata=pairs, wait=wait, deadline_s=timeout, show=show, outcomes=outcomes))
    except KeyboardInterrupt:
        messages().print(
            f"Interrupted. {len(outcomes)} of {len(sources)} files had ended; what was submitted is processed further. "
            "The same command again goes on where this one stopped.",
            style="yellow",
        )
        raise
    _summarise(outcomes, as_json=as_json)
    raise typer.Exit(Exit.OK if all(o.good for o in outcomes) else Exit.FAILED)


class Show:
    """The progress bar, and a line for every file that ends."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total)

    def ended(self, outcome: Outcome) -> None:
        self._bar.console.print(_line(outcome))
        self._bar.advance(self._task)


@contextmanager
def progress(total: int, *, quiet: bool = False) -> Iterator[Show]:
    """A bar over `total` files with the time that the rest may take; nothing when `quiet`."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    with Progress(*columns, console=messages(), transient=True, disable=quiet) as bar:
        if quiet:
            bar.console.quiet = True
        yield Show(bar, total)


async def _run(
    sources: list[Source],
    *,
    metadata: dict[str, str],
    wait: bool,
    deadline_s: float,
    show: Show,
    outcomes: list[Outcome],
) -> None:
    """`outcomes` fills as files end, also when this is interrupted."""
    async with gateway() as client:
        await client.ready()  # away from the start is said at once; later it is waited for
        await Submission(
            client, sources, show.ended, metadata=metadata, wait=wait, deadline_s=deadline_s, outcomes=outcomes
        ).run()


def _sources(paths: list[str], exclude: list[str]) -> list[Source]:
    try:
        urls = [UrlSource.of(path) for path in filter(is_url, paths)]
        sources: list[Source] = [
            *dict.fromkeys(urls),
            *find([path for path in paths if not is_url(path)], exclude=exclude),
        ]
    except (FileNotFoundError, httpx.InvalidURL) as error:
        raise CommandError(str(error), hint="Nothing was submitted.", code=Exit.USAGE) from error
    if not sources:
        raise CommandError("no file is left to submit", hint="--exclude leaves all of them out.", code=Exit.USAGE)
    return sources


def _pairs(options: list[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        key, separator, value = option.partition("=")
        if not key or not separator:
            raise CommandError(f"{option!r} is not KEY=VALUE, for example topic=bees", code=Exit.USAGE)
        pairs[key] = value
    return pairs


def _line(outcome: Outcome) -> Text:
    if outcome.failure is not None:
        return Text.assemble(
            ("✗ ", "red"), outcome.source.name, ("  ", ""), (outcome.state, "red"),
            f"  {outcome.failure.code}: {outcome.failure.message}",
        )  # fmt: skip
    notes = [counted(outcome.chunks, "chunk")] if outcome.chunks is not None else []
    notes += [f"version {outcome.version}"] if outcome.version > 1 else []
    notes += ["unchanged"] if outcome.unchanged else []
    return Text.assemble(
        ("✓ ", "green"), outcome.source.name, "  ", (outcome.state, "green"), (f"  {', '.join(notes)}", "dim")
    )


def _summarise(outcomes: list[Outcome], *, as_json: bool) -> None:
    if as_json:
        print_json({"items": [{**_place(outcome.source), **_plain(outcome)} for outcome in outcomes]})
        return
    bad = [outcome for outcome in outcomes if not outcome.good]
    good = len(outcomes) - len(bad)
    rest = f", {len(bad)} {'is' if len(bad) == 1 else 'are'} not." if bad else "."
    console().print(
        f"{good} of {counted(len(outcomes), 'document')} {'is' if 1 in (good, len(outcomes)) else 'are'} fine{rest}"
    )


def _place(source: Source) -> dict[str, str]:
    return {"path": str(source.path)} if isinstance(source, FileSource) else {"url": source.name}


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.source.name,
        "document_id": outcome.document_id,
        "state": outcome.state,
        "version": outcome.version,
        "chunks": outcome.chunks,
        "unchanged": outcome.unchanged,
        "failure": outcome.failure.plain() if outcome.failure else None,
    }

"""`waggle index check|rebuild|migrate`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.acting import told
from cli.broker import connected
from cli.exits import CommandError, Exit
from cli.index_tables import (
    made_with,
    plain,
    plain_of_rebuilt,
    print_abandoned,
    print_checked,
    print_migrated,
    print_rebuilt,
)
from cli.interrupts import interruptible
from cli.output import Json, console, messages, print_json
from contracts.audit import AuditKind
from contracts.errors import PermanentError
from contracts.settings import EmbedSettings, IndexKind
from messaging.broker import Broker
from messaging.leases import LeaseHeldError, Leases
from workers.encoding.factory import build_embedder
from workers.indexing.factory import build_site
from workers.indexing.identity import encoder_of
from workers.indexing.pointer import in_use
from workers.reindexing.abandoning import abandon
from workers.reindexing.checking import Checked, check
from workers.reindexing.encoding import RowEncoder
from workers.reindexing.migration import Migrated, migrate
from workers.reindexing.progress import Advance, Step
from workers.reindexing.rebuilding import Rebuild, Rebuilt
from workers.reindexing.users import IndexUsers

app = typer.Typer()
index = typer.Typer(no_args_is_help=True, help="The index: compare it with the ledger, make it anew, move it.")
app.add_typer(index, name="index")

LEASE = "index"


@index.command("check")
def check_index(as_json: Json = False) -> None:
    """Compare the index with the ledger: rows that are missing, too many, or of documents that nobody knows.

    Opens the index itself, with the settings of the workers. Exit code 1 when something is amiss.
    """
    with interruptible():
        name, recorded, checked = asyncio.run(_check())
    if as_json:
        print_json({"index": name, "recorded": recorded, **plain(checked)})
    else:
        print_checked(name, checked)
        console().print(Text(made_with(recorded), "dim"))
    raise typer.Exit(Exit.FAILED if checked.amiss else Exit.OK)


@index.command("rebuild")
def rebuild_index(
    keep_old: Annotated[
        bool, typer.Option("--keep-old", help="Do not remove the index that is replaced; the next rebuild does.")
    ] = False,
    give_up: Annotated[
        bool, typer.Option("--abandon", help="Do not go on with a rebuild that was interrupted: remove what it built.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make the index anew from its own rows, while everything goes on; encode them anew if the encoder is another.

    An interrupted rebuild goes on when the same command is run again. Exit code 1 when something is amiss at the end.
    """
    if give_up:
        print_abandoned(asyncio.run(_abandon()), as_json=as_json)
        return
    began = time.monotonic()
    with interruptible(), _shown(quiet=as_json) as advance:
        try:
            rebuilt = asyncio.run(_rebuild(keep_old=keep_old, advance=advance))
        except KeyboardInterrupt:
            messages().print("Interrupted. The same command again goes on where this one stopped.", style="yellow")
            raise
    took_s = time.monotonic() - began
    if as_json:
        print_json({**plain_of_rebuilt(rebuilt), "took_s": round(took_s, 3)})
    else:
        print_rebuilt(rebuilt, took_s)
    raise typer.Exit(Exit.FAILED if rebuilt.checked.amiss else Exit.OK)


@index.command("migrate")
def migrate_index(
    source: Annotated[IndexKind, typer.Argument(metavar="SOURCE", help="lancedb or weaviate.")],
    target: Annotated[IndexKind, typer.Argument(metavar="TARGET", help="The other one.")],
    as_json: Json = False,
) -> None:
    """Copy all rows from one engine to the other. Workers go on with SOURCE until they are restarted.

    Run it, set WAGGLE_INDEX to TARGET, restart the workers, and run it again for what was written meanwhile.
    """
    if source is target:
        raise CommandError(f"SOURCE and TARGET are both {source}", code=Exit.USAGE)
    began = time.monotonic()
    with interruptible(), _shown(quiet=as_json) as advance:
        migrated = asyncio.run(_migrate(source, target, advance))
    took_s = time.monotonic() - began
    if as_json:
        print_json(
            {
                "source": f"{source}:{migrated.source}",
                "target": target.value,
                "copied": asdict(migrated.copied),
                "took_s": round(took_s, 3),
                **plain(migrated.checked),
            }
        )
    else:
        print_migrated(migrated, source, target, took_s)
    raise typer.Exit(Exit.FAILED if migrated.checked.amiss else Exit.OK)


async def _check() -> tuple[str, dict[str, str], Checked]:
    """The name of the index in use, what it records of how it was made, and what was found."""
    settings = EmbedSettings.load()
    site = build_site(settings, settings.index)
    async with connected("index check") as broker:
        await site.open()
        try:
            name = await in_use(site)
            recorded = None if name is None else await site.recorded(name)
            if name is None or recorded is None:
                raise PermanentError(
                    f"there is no index in {site.where}: is WAGGLE_INDEX or WAGGLE_INDEX_PATH that of the workers? They "
                    "make one when they start"
                )
            opened = site.index(name, encoder_of(recorded), any_format=True)
            try:
                await opened.open()
                return f"{settings.index}:{name}", dict(recorded), await check(broker, opened)
            finally:
                await opened.close()
        finally:
            await site.close()


async def _rebuild(*, keep_old: bool, advance: Advance) -> Rebuilt:
    settings = EmbedSettings.load()
    site, encoder = build_site(settings, settings.index), RowEncoder(lambda: build_embedder(settings))
    async with _alone() as broker, IndexUsers.listening(broker, settings.index) as users:
        try:
            await site.open()
            async with told(broker, AuditKind.INDEX, "rebuild", target=settings.index):
                return await Rebuild(broker, site, users, encoder, keep_old=keep_old, advance=advance).run()
        finally:
            encoder.stop()
            await site.close()


async def _abandon() -> list[str]:
    settings = EmbedSettings.load()
    site = build_site(settings, settings.index)
    async with _alone() as broker:
        try:
            await site.open()
            async with told(broker, AuditKind.INDEX, "abandon", target=settings.index):
                return await abandon(site)
        finally:
            await site.close()


async def _migrate(source: IndexKind, target: IndexKind, advance: Advance) -> Migrated:
    settings = EmbedSettings.load()
    sites = build_site(settings, source), build_site(settings, target)
    async with _alone() as broker:
        try:
            async with told(broker, AuditKind.INDEX, "migrate", target=f"{source} to {target}"):
                return await migrate(broker, *sites, advance=advance)
        finally:
            for site in sites:
                await site.close()


@asynccontextmanager
async def _alone() -> AsyncIterator[Broker]:
    """A broker, with the lease that lets one command change the index at a time."""
    async with connected("index") as broker:
        try:
            async with Leases(broker, holder="waggle index").held(LEASE):
                yield broker
        except LeaseHeldError as error:
            raise CommandError(
                "another `waggle index rebuild` or `migrate` is at work",
                hint="Wait for its end. If it was killed, its lease ends within 30 s: run the same command again then.",
            ) from error


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Advance]:
    """A bar for each thing that is worked on; where nobody looks on, or when `quiet`, only its name."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[of]}"), TimeElapsedColumn())
    tasks, screen = dict[str, TaskID](), messages()
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:

        def advance(step: Step) -> None:
            if step.what not in tasks:
                tasks[step.what] = bar.add_task(step.what, of="")
                if bar.disable:
                    screen.print(step.what, style="dim")
            of = "" if step.total is None else f"{step.done} of {step.total}"
            bar.update(tasks[step.what], completed=step.done, total=step.total, of=of)

        yield advance

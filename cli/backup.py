"""`waggle backup`, `restore`: everything that cannot be made again, into a folder and back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.broker import connected
from cli.exits import Exit
from cli.interrupts import interruptible
from cli.output import Json, console, counted, messages, print_json, size
from messaging.backup import Advance, Manifest, Restored, Step, back_up
from messaging.backup import restore as bring_back
from messaging.backup.waiting import STALL_S

app = typer.Typer()

Target = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", file_okay=False)]
Source = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the backup.", exists=True, file_okay=False)]


@app.command()
def backup(
    folder: Target,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the backup that DIR holds.")] = False,
    as_json: Json = False,
) -> None:
    """Write ledger, uploads, dead letters and settings into a folder, while everything goes on.

    The index is not part of it: it is made again from the originals. The folder holds documents; keep it private.
    """
    with interruptible(), _shown(quiet=as_json) as advance:
        try:
            manifest = asyncio.run(_back_up(folder, overwrite=overwrite, advance=advance))
        except KeyboardInterrupt:
            messages().print("Interrupted. There is no backup of this run; one from before is whole.", style="yellow")
            raise
    if as_json:
        print_json({"folder": str(folder), **manifest.model_dump(mode="json")})
        return
    took_s = (manifest.finished_at - manifest.began_at).total_seconds()
    console().print(f"{_summary(manifest)}, {size(manifest.size_bytes)} in {folder} after {took_s:.1f} s.")
    if manifest.counts.uploads_missing:
        missing = counted(manifest.counts.uploads_missing, "original")
        messages().print(f"The object store had lost {missing}: submit those documents again.", style="yellow")


@app.command()
def restore(
    folder: Source,
    timeout: Annotated[float, typer.Option(help="Seconds to wait on when no document becomes searchable.")] = STALL_S,
    as_json: Json = False,
) -> None:
    """Bring a backup back into an empty system, and wait until its documents are searchable again.

    Workers must run meanwhile (`waggle up`): they index every document anew. An interrupted restore goes on when the
    same command is run again. Exit code 1 when a document could not be indexed.
    """
    with interruptible(), _shown(quiet=as_json) as advance:
        try:
            restored = asyncio.run(_restore(folder, stall_s=timeout, advance=advance))
        except KeyboardInterrupt:
            messages().print("Interrupted. The same command again goes on where this one stopped.", style="yellow")
            raise
    if as_json:
        print_json(_plain(folder, restored))
    else:
        _print(restored)
    raise typer.Exit(Exit.FAILED if restored.outcome and restored.outcome.failures else Exit.OK)


async def _back_up(folder: Path, *, overwrite: bool, advance: Advance) -> Manifest:
    async with connected("backup") as broker:
        return await back_up(broker, folder, overwrite=overwrite, advance=advance)


async def _restore(folder: Path, *, stall_s: float, advance: Advance) -> Restored:
    async with connected("restore") as broker:
        return await bring_back(broker, folder, stall_s=stall_s, advance=advance)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Advance]:
    """A bar for each thing that is worked on; nothing when `quiet`, or where nobody looks on."""
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    tasks, screen = dict[str, TaskID](), messages()
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as bar:

        def advance(step: Step) -> None:
            if step.what not in tasks:
                tasks[step.what] = bar.add_task(step.what, figures="")
            of = "" if step.total is None else f" of {step.total}"
            bar.update(tasks[step.what], completed=step.done, total=step.total, figures=f"{step.done}{of}")

        yield advance


def _summary(manifest: Manifest) -> str:
    counts = manifest.counts
    return ", ".join(
        (
            counted(counts.documents, "document"),
            counted(counts.uploads, "upload"),
            counted(counts.dead_letters, "dead letter"),
            counted(counts.settings, "configuration record"),
        )
    )


def _print(restored: Restored) -> None:
    manifest, outcome = restored.manifest, restored.outcome
    if outcome is None:
        console().print("This backup has been restored into this system before; nothing was changed.")
        return
    console().print(f"{_summary(manifest)} of {manifest.finished_at:%Y-%m-%d %H:%M:%S} UTC restored.")
    console().print(Text(f"{counted(outcome.searchable, 'document')} searchable again.", "green"))
    if outcome.failures:
        named = ", ".join(outcome.failed) + (", …" if outcome.failures > len(outcome.failed) else "")
        console().print(Text(f"{counted(outcome.failures, 'document')} could not be indexed: {named}", "red"))
        console().print("`waggle documents show ID` says why; they may be submitted or replayed again.")


def _plain(folder: Path, restored: Restored) -> dict[str, object]:
    outcome = restored.outcome
    return {
        "folder": str(folder),
        "backup": restored.manifest.model_dump(mode="json", exclude={"files"}),
        "restored_before": outcome is None,
        "searchable": outcome.searchable if outcome else None,
        "failures": outcome.failures if outcome else None,
        "failed": outcome.failed if outcome else [],
    }

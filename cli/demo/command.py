"""`waggle demo`: the whole journey in one command, in a folder that is thrown away."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Annotated

import typer
from rich.console import Console

from cli.asking import Shown, ask_streaming, print_citations
from cli.client import GatewayClient
from cli.exits import CommandError, Exit
from cli.fleet import fleet_and_readiness, overview
from cli.ingest import progress
from cli.interrupts import interruptible
from cli.output import console
from cli.starting import bring_up, take_down
from cli.uploading.files import find
from cli.uploading.patience import quiet_retries
from cli.uploading.submission import Outcome, Submission
from contracts.health import HEARTBEAT_INTERVAL_S
from contracts.settings import AllSettings
from contracts.settings_source import PREFIX
from deploy.local.admin_key import read_key
from deploy.local.assembly import assemble
from deploy.local.stack import LocalStack

app = typer.Typer()

HERE = Path(__file__).parent
START_S = 300.0
INGEST_S = 600.0
QUESTION_S = 60.0
HEARTBEATS_S = 2 * HEARTBEAT_INTERVAL_S
LOOK_S = 0.25


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the data folder there.")] = False,
) -> None:
    """Start everything, ingest the sample documents, ask in two languages, show the fleet, stop.

    Exit code 0 only when every document became ready and every question got an answer with citations.
    """
    quiet_retries()
    _forget_settings()
    screen = console()
    with interruptible(), _folder(keep=keep) as folder:
        stack = assemble(AllSettings.load(data_dir=folder), port=0, nats_port=0)
        try:
            took_s = bring_up(stack, timeout_s=START_S).took_s
            screen.print(f"The stack was ready after {took_s:.1f} s: {stack.addresses.url}\n", style="bold")
            shortcomings = asyncio.run(_journey(screen, stack))
        finally:
            take_down(stack.layout)
        if shortcomings:
            raise CommandError("; ".join(shortcomings), hint=f"The logs are in {stack.layout.logs}.")
    raise typer.Exit(Exit.OK)


async def _journey(screen: Console, stack: LocalStack) -> list[str]:
    """What went wrong; empty when all went well."""
    async with GatewayClient(stack.addresses.url, api_key=read_key(stack.layout.admin_key)) as client:
        shortcomings = await _ingest(screen, client)
        for language, questions in json.loads((HERE / "questions.json").read_text(encoding="utf-8")).items():
            for question in questions:
                shortcomings += await _ask(screen, client, question, language)
        await _heard_from_all(client)
        screen.print("\nThe fleet", style="bold")
        screen.print(overview(*await fleet_and_readiness(client)))
    return shortcomings


async def _heard_from_all(client: GatewayClient) -> None:
    """Let every process tell once more how far it is: heartbeats are seconds apart."""
    asked = time.monotonic()
    while (waited_s := time.monotonic() - asked) < HEARTBEATS_S:
        if all(member.heartbeat_age_s < waited_s for member in (await client.fleet()).items):
            return
        await asyncio.sleep(LOOK_S)


async def _ingest(screen: Console, client: GatewayClient) -> list[str]:
    screen.print("Ingesting the sample documents", style="bold")
    sources = find([str(HERE / "documents")])
    outcomes = list[Outcome]()
    with progress(len(sources)) as show:
        await Submission(client, sources, show.ended, deadline_s=INGEST_S, outcomes=outcomes).run()
    return [f"{outcome.source.name} is {outcome.state}" for outcome in outcomes if outcome.state != "ready"]


async def _ask(screen: Console, client: GatewayClient, question: str, language: str) -> list[str]:
    screen.print(f"\n[{language}] {question}", style="bold")
    answer = await ask_streaming(client, {"query": question}, deadline_s=QUESTION_S, shown=Shown(screen))
    print_citations(screen, answer)
    cited = answer.status == "completed" and answer.answered and answer.citations
    return [] if cited else [f"no cited answer to {question!r} ({answer.status} {answer.message})"]


def _forget_settings() -> None:
    """The demo shows the defaults, and must not put its documents into a broker or an index that is in use."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A folder that is removed at the end, and when somebody has seen enough; after an error it stays, for its logs."""
    folder = Path(tempfile.mkdtemp(prefix="waggle-demo-"))
    try:
        yield folder
    except Exception:
        keep = True
        raise
    finally:
        if not keep:
            rmtree(folder)

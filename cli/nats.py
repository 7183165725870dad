"""`waggle nats config`: users for a NATS server of your own, each of which may do what it has to and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.exits import CommandError, Exit
from cli.output import Json, messages, print_json
from contracts.settings import AllSettings
from deploy.local.access import TENANT
from deploy.local.layout import layout_of
from deploy.nats.configuration import accounts, text, users
from deploy.nats.seeds import Seeds

app = typer.Typer()
nats = typer.Typer(no_args_is_help=True, help="Users of the broker: who may publish and subscribe to what.")
app.add_typer(nats, name="nats")


@nats.callback()
def group() -> None:
    """A group, however few commands it has."""


@nats.command("config")
def config(
    tenant: Annotated[
        list[str] | None, typer.Option("--tenant", help="Whose programs are to be let in; repeatable.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Folder of the seeds; those that are missing are made.", file_okay=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the accounts and users for the configuration of a nats-server, which knows their public keys only.

    Each user's seed is in a file of its own (mode 0600) in FOLDER, by default where `waggle up` keeps those of its broker. What
    is there is kept, the seeds of tenants too: the same command again prints the same.
    """
    seeds = Seeds(write or layout_of(AllSettings.load()).nats_users)
    try:
        given = users(sorted({TENANT, *seeds.tenants(), *(tenant or ())}))
    except ValueError as error:
        raise CommandError(f"--tenant: {error}", code=Exit.USAGE) from error
    made = seeds.ensure(given)
    part = accounts(given, seeds)
    print_json(part) if as_json else typer.echo(text(part), nl=False)
    if made:
        messages().print(f"{len(made)} seeds were made in {seeds.folder}.", style="dim")

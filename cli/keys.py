"""`waggle keys`: API keys, made, listed, rotated and revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cli.acting import told
from cli.broker import connected
from cli.client import GatewayError
from cli.exits import CommandError, Exit
from cli.key_replies import Key, Keys, MadeKey
from cli.moments import duration_of, end_of, shown
from cli.output import Json, ago, console, messages, plain, print_json, table
from cli.person import whoever
from cli.target import gateway
from contracts.api_keys import Scope
from contracts.audit import AuditKind
from contracts.identifiers import DEFAULT_TENANT, TOKEN
from messaging.api_keys import KeyBook

app = typer.Typer()
keys = typer.Typer(no_args_is_help=True, help="API keys: who may do what for which tenant, until when.")
app.add_typer(keys, name="keys")

ACTIVE = "active"
_STYLES = {ACTIVE: "green", "revoked": "red", "expired": "yellow"}

KeyId = Annotated[str, typer.Argument(help="The key's id, as `waggle keys ls` shows it.", metavar="ID")]


@keys.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what uses it.", metavar="NAME")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it allows; several may be given.")],
    tenant: Annotated[str, typer.Option(help="Whose data it touches.")] = DEFAULT_TENANT,
    lasting: Annotated[str | None, typer.Option("--for", help="How long: 12h, 90d.")] = None,
    until: Annotated[str | None, typer.Option(help="Until when: 2027-01-31T18:00.")] = None,
    rate_limit: Annotated[str | None, typer.Option(help="How many requests it may make: 20/10s,300/m,5000/h.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key, and show it: this once, as nothing but its fingerprint is kept. Without an end it lasts until it is revoked."""
    end = end_of(lasting, until)
    body = {
        "name": name,
        "scopes": [each.value for each in scope],
        "tenant": _tenant(tenant),
        "expires_at": None if end is None else end.isoformat(),
        "rate_limit": rate_limit,
    }
    _say_made(asyncio.run(_create(body)), as_json=as_json)


@keys.command("bootstrap")
def bootstrap(as_json: Json = False) -> None:
    """Make an admin key without having one, by who may write to the broker (WAGGLE_NATS_URL): the first one, or after all were
    lost.
    """
    _say_made(asyncio.run(_bootstrap()), as_json=as_json)


@keys.command("ls")
def ls(
    every: Annotated[bool, typer.Option("--all", help="Also those that are over, for 30 days.")] = False,
    tenant: Annotated[str | None, typer.Option(help="Only of this tenant.")] = None,
    as_json: Json = False,
) -> None:
    """List keys, the newest first, and when each was last used."""
    asked = {"state": [] if every else [ACTIVE], "tenant": [_tenant(tenant)] if tenant else []}
    found = asyncio.run(_list(asked))
    if as_json:
        print_json({"items": plain(found.items)})
    else:
        console().print(keys_table(found.items) if found.items else "No keys. `waggle keys create` makes one.")


@keys.command("rotate")
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the old one goes on beside the new one: 1h, 1d; 0s: not.")
    ] = "1d",
    as_json: Json = False,
) -> None:
    """Make a key like this one, in whose place it is. Both open for the overlap, so that nothing stops."""
    lasting = timedelta() if overlap in {"0", "0s"} else duration_of(overlap, "--overlap")
    made = asyncio.run(_rotate(key_id, {"overlap_s": lasting.total_seconds()}))
    _say_made(made, as_json=as_json)
    if not as_json:
        messages().print(f"{key_id} ends {f'in {overlap}' if lasting else 'now'}.")


@keys.command("revoke")
def revoke(
    key_ids: Annotated[list[str], typer.Argument(help="Ids, as `waggle keys ls` shows them.", metavar="ID...")],
    as_json: Json = False,
) -> None:
    """Have keys open nothing from now on, at every gateway within 2 s. Exit code 1 when one was not revoked."""
    results = asyncio.run(_revoke(key_ids))
    if as_json:
        print_json({"items": [{"id": i, "revoked": not error, "error": error} for i, error in results]})
    else:
        for key_id, error in results:
            mark = Text("✗ ", "red") if error else Text("✓ ", "green")
            console().print(Text.assemble(mark, key_id, "  ", error or "revoked"))
    raise typer.Exit(Exit.FAILED if any(error for _, error in results) else Exit.OK)


def keys_table(found: Iterable[Key]) -> Table:
    rows = table(
        "key", "name", "tenant", "scopes", "state", "made", "by", "until", "last used", whole=frozenset({"key"})
    )
    for key in found:
        rows.add_row(
            key.id,
            key.name,
            key.tenant,
            " ".join(key.scopes),
            Text(key.state, _STYLES.get(key.state, "")),
            ago(key.created_at),
            key.created_by,
            shown(key.revoked_at or key.expires_at),
            ago(key.last_used_at) or "never",
        )
    return rows


def _say_made(made: MadeKey, *, as_json: bool) -> None:
    if as_json:
        print_json(made.plain())
        return
    until = f", until {shown(made.key.expires_at)}" if made.key.expires_at else ""
    messages().print(
        f"Key {made.key.id} for {made.key.tenant}: {', '.join(made.key.scopes)}{until}. This is shown once; "
        "use it as WAGGLE_API_KEY, or in the header `Authorization: Bearer …`:"
    )
    console().print(made.secret)


def _tenant(text: str) -> str:
    if not TOKEN.fullmatch(text):
        raise CommandError("--tenant: letters, digits, - and _ only, 128 at most", code=Exit.USAGE)
    return text


async def _create(body: Mapping[str, Any]) -> MadeKey:
    async with gateway() as client:
        return await client.create_key(body)


async def _bootstrap() -> MadeKey:
    async with (
        connected("waggle keys") as broker,
        told(broker, AuditKind.KEYS, "bootstrap", detail=Scope.ADMIN.value),
    ):
        made = await KeyBook(broker).create(
            name="bootstrap", tenant=DEFAULT_TENANT, scopes=[Scope.ADMIN], principal=f"broker:{whoever()}"
        )
    shown_key = made.key.model_dump(mode="json", exclude={"digest", "schema_version", "principal"})
    return MadeKey.model_validate(
        {"key": {**shown_key, "state": ACTIVE, "created_by": made.key.principal}, "secret": made.text}
    )


async def _list(parameters: Mapping[str, Sequence[str]]) -> Keys:
    async with gateway() as client:
        return await client.keys(parameters)


async def _rotate(key_id: str, body: Mapping[str, Any]) -> MadeKey:
    async with gateway() as client:
        return await client.rotate_key(key_id, body)


async def _revoke(key_ids: Sequence[str]) -> list[tuple[str, str]]:
    results = []
    async with gateway() as client:
        for key_id in key_ids:
            try:
                await client.revoke_key(key_id)
            except GatewayError as error:
                results.append((key_id, error.message))
            else:
                results.append((key_id, ""))
    return results

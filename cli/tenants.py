"""`waggle tenants`: what each tenant has, and what is agreed with it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from cli.exits import CommandError, Exit
from cli.output import Json, ago, console, plain, print_json, size, table
from cli.target import gateway
from cli.tenant_replies import Tenant
from contracts.identifiers import TOKEN

app = typer.Typer()
tenants = typer.Typer(no_args_is_help=True, help="Tenants: what each has, and what is agreed with it.")
app.add_typer(tenants, name="tenants")


def _named(text: str) -> str:
    if not TOKEN.fullmatch(text):
        message = f"no tenant can be called {text!r}: letters, digits, - and _ only, 128 at most"
        raise CommandError(message, code=Exit.USAGE)
    return text


Name = Annotated[str, typer.Argument(help="The tenant's name.", metavar="TENANT", callback=_named)]

NONE: Final = "none"
"""What is given for a term that is to be as the gateways' settings say."""
_SIZE: Final = re.compile(r"(\d+)\s*(|KiB|MiB|GiB|TiB)")
_UNITS: Final = {"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@tenants.command("ls")
def ls(as_json: Json = False) -> None:
    """List tenants that have documents, or with which something is agreed."""
    found = asyncio.run(_list())
    if as_json:
        print_json({"items": plain(found)})
    else:
        console().print(tenants_table(found) if found else "No tenants: nobody has documents yet.")


@tenants.command("show")
def show(tenant: Name, as_json: Json = False) -> None:
    """Show one, also if it has nothing yet."""
    _say(asyncio.run(_show(tenant)), as_json=as_json)


@tenants.command("set")
def set_terms(
    tenant: Name,
    rate_limit: Annotated[
        str | None, typer.Option(help="How many requests it may make: 100/10s,2000/m; none: as the settings say.")
    ] = None,
    documents: Annotated[
        str | None, typer.Option(help="How many documents it may have; none: as the settings say.")
    ] = None,
    total_size: Annotated[
        str | None,
        typer.Option("--bytes", help="How large their originals may be together: 10GiB; none: as the settings say."),
    ] = None,
    weight: Annotated[
        float | None, typer.Option(help="Its share where there is not enough for all; others have 1.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Agree on something with a tenant; what is not named stays as it is."""
    changes: dict[str, Any] = {}
    if rate_limit is not None:
        changes["rate_limit"] = None if rate_limit == NONE else rate_limit
    if documents is not None:
        changes["max_documents"] = None if documents == NONE else _number(documents)
    if total_size is not None:
        changes["max_bytes"] = None if total_size == NONE else _bytes(total_size)
    if weight is not None:
        changes["weight"] = weight
    if not changes:
        raise CommandError("nothing to agree on: name --rate-limit, --documents, --bytes or --weight", code=Exit.USAGE)
    _say(asyncio.run(_set(tenant, changes)), as_json=as_json)


@tenants.command("reset")
def reset(tenant: Name, as_json: Json = False) -> None:
    """Have nothing of its own agreed with a tenant any more. Its documents and keys stay."""
    _say(asyncio.run(_reset(tenant)), as_json=as_json)


def tenants_table(found: Iterable[Tenant]) -> Table:
    rows = table(
        "tenant", "documents", "of", "size", "of", "waiting", "requests", "weight", "agreed", "by",
        right=frozenset({"documents", "size", "waiting", "weight"}), whole=frozenset({"tenant"}),
    )  # fmt: skip
    for each in found:
        usage, terms = each.usage, each.terms
        rows.add_row(
            each.tenant,
            str(usage.documents),
            "" if terms.max_documents is None else str(terms.max_documents),
            size(usage.bytes),
            size(terms.max_bytes),
            str(usage.waiting),
            terms.rate_limit or "",
            f"{terms.weight:g}",
            ago(each.agreed_at),
            each.agreed_by or "",
        )
    return rows


def _say(tenant: Tenant, *, as_json: bool) -> None:
    if as_json:
        print_json(tenant.plain())
    else:
        console().print(tenants_table([tenant]))


def _number(text: str) -> int:
    if not text.isdecimal():
        raise CommandError(f"--documents: {text} is no number, and not none", code=Exit.USAGE)
    return int(text)


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise CommandError(f"--bytes: {text} is no size such as 500MiB or 10GiB, and not none", code=Exit.USAGE)
    return int(found[1]) * _UNITS[found[2]]


async def _list() -> list[Tenant]:
    found, cursor = list[Tenant](), None
    async with gateway() as client:
        while True:
            page = await client.tenants(cursor)
            found += page.items
            if page.next is None:
                return found
            cursor = page.next


async def _show(tenant: str) -> Tenant:
    async with gateway() as client:
        return await client.tenant(tenant)


async def _set(tenant: str, changes: dict[str, Any]) -> Tenant:
    async with gateway() as client:
        terms = (await client.tenant(tenant)).terms
        return await client.agree(tenant, {**terms.plain(), **changes})


async def _reset(tenant: str) -> Tenant:
    async with gateway() as client:
        return await client.end_agreement(tenant)

"""What is set for the running fleet: `waggle config show --live`, `history`, `diff`, `set`, `unset` and `rollback`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli.config_replies import Config, Revision, Written
from cli.config_tables import changes_shown, differences, headline, overview, revisions_table
from cli.exits import CommandError, Exit
from cli.output import Json, console, plain, print_json
from cli.person import whoever
from cli.target import gateway
from contracts.runtime_config import Setting

Because = Annotated[str, typer.Option("--because", help="Why; it is kept with the change.", metavar="TEXT")]
IfRevision = Annotated[
    int | None,
    typer.Option(
        "--if-revision", help="Only if this revision is current (0: none); otherwise nothing is changed.", min=0
    ),
]


def show_live(*, as_json: bool) -> None:
    """What is set for the running fleet, what can be, and which processes work by it."""
    found = asyncio.run(_config())
    if as_json:
        print_json(found.plain())
    else:
        console().print(overview(found))


def history(
    limit: Annotated[int, typer.Option(help="So many, the newest first.", min=1)] = 20, as_json: Json = False
) -> None:
    """Who changed what for the running fleet, when and why."""
    found = asyncio.run(_revisions())
    if as_json:
        print_json({"items": plain(found[:limit])})
    elif found:
        console().print(revisions_table(found, limit=limit))
    else:
        console().print("Nothing was ever set.")


def diff(
    a: Annotated[
        int | None, typer.Argument(help="A revision; 0: nothing is set. Default: the one before the current.")
    ] = None,
    b: Annotated[int | None, typer.Argument(help="Another. Default: the current one.")] = None,
    as_json: Json = False,
) -> None:
    """What differs between two revisions."""
    known = {revision.number: revision for revision in asyncio.run(_revisions())}
    newest = max(known, default=0)
    older = _values(known, max(newest - 1, 0) if a is None else a)
    newer = _values(known, newest if b is None else b)
    if as_json:
        changes = differences(older, newer)
        print_json({"changes": [{"key": key, "before": before, "after": after} for key, before, after in changes]})
    else:
        console().print("\n".join(changes_shown(older, newer)) or "They are the same.")


def set_values(
    pairs: Annotated[list[str], typer.Argument(help="top_k=7 reranking=false.", metavar="KEY=VALUE...")],
    because: Because,
    if_revision: IfRevision = None,
    as_json: Json = False,
) -> None:
    """Change settings of the running fleet; `waggle config show --live` lists those there are. Faulty ones change nothing."""
    _report(asyncio.run(_change(_parsed(pairs), because, if_revision)), as_json=as_json)


def unset(
    keys: Annotated[
        list[str], typer.Argument(help="Keys, as `waggle config show --live` lists them.", metavar="KEY...")
    ],
    because: Because,
    if_revision: IfRevision = None,
    as_json: Json = False,
) -> None:
    """Have every process work by its own settings again, for some keys."""
    _report(asyncio.run(_change(dict.fromkeys(keys), because, if_revision)), as_json=as_json)


def rollback(
    to: Annotated[
        int | None, typer.Argument(help="The revision; 0: nothing is set. Default: the one before the current.")
    ] = None,
    because: Because = "rolled back",
    as_json: Json = False,
) -> None:
    """Have the values of an older revision count again; that is a new revision."""
    _report(asyncio.run(_roll_back(to, because)), as_json=as_json)


async def _config() -> Config:
    async with gateway() as client:
        return await client.config()


async def _revisions() -> tuple[Revision, ...]:
    async with gateway() as client:
        return (await client.revisions()).items


async def _change(values: Mapping[str, Any], because: str, expected: int | None) -> Written:
    body = {"values": values, "because": because, "claimed_by": whoever(), "expected_revision": expected}
    async with gateway() as client:
        return await client.change_config(body)


async def _roll_back(to: int | None, because: str) -> Written:
    async with gateway() as client:
        current = await client.config()  # what somebody changes meanwhile is not what was looked at
        return await client.roll_back_config(
            {"to": to, "because": because, "claimed_by": whoever(), "expected_revision": current.number}
        )


def _parsed(pairs: list[str]) -> dict[str, Any]:
    """Values as JSON has them; what is none is text. Raises `CommandError`."""
    values: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not (key and separator and text):
            raise CommandError(f"{pair!r} is not KEY=VALUE", hint="Give it like top_k=7.", code=Exit.USAGE)
        if key in values:
            raise CommandError(f"{key} is given twice: give it once", code=Exit.USAGE)
        values[key] = _value(text)
        if values[key] is None:
            raise CommandError(f"{pair!r} sets nothing", hint=f"Use: waggle config unset {key}", code=Exit.USAGE)
    return values


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _values(known: Mapping[int, Revision], number: int) -> dict[str, Setting]:
    if number == 0:
        return {}
    if number not in known:
        hint = "`waggle config history` lists those that are kept."
        raise CommandError(f"there is no revision {number}, or it is not kept any more", hint=hint, code=Exit.USAGE)
    return known[number].values


def _report(written: Written, *, as_json: bool) -> None:
    if as_json:
        print_json(written.plain())
    elif written.is_new:
        console().print(headline(written))
    else:
        console().print(f"All is so already; {headline(written)[:1].lower()}{headline(written)[1:]}")

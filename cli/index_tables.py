"""What `waggle index` found and did, for people and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.text import Text

from cli.output import console, counted, messages, print_json, table
from contracts.settings import EmbedSettings, IndexKind
from workers.reindexing.checking import MOST_SHOWN, Checked, Kind
from workers.reindexing.migration import Migrated
from workers.reindexing.rebuilding import Rebuilt

_MEANS = {
    Kind.WHOLE: ("visible and whole", ""),
    Kind.UNDER_WAY: ("on their way", ""),
    Kind.WAITING: ("over, to be purged", ""),
    Kind.MISSING: ("rows missing", "the keeper indexes it anew, `waggle reconcile` at once"),
    Kind.SURPLUS: ("rows too many", "`waggle index rebuild`, or submit it again"),
    Kind.UNKNOWN: ("no record", "restore the ledger, or `waggle reconcile --purge-unrecorded`"),
    Kind.UNREADABLE: ("unreadable record", "upgrade this release"),
}


def print_checked(name: str, checked: Checked) -> None:
    rows = table(name, "generations", "rows", right=frozenset({"generations", "rows"}))
    for kind, (means, _) in _MEANS.items():
        if checked.generations[kind]:
            rows.add_row(means, str(checked.generations[kind]), str(checked.rows[kind]))
    if checked.generations:
        rows.add_row("total", str(checked.generations.total()), str(checked.total_rows))
    console().print(rows if checked.generations else "The index is empty, and so is the ledger.")
    if not checked.amiss:
        console().print("The index holds what it should.", style="green")
        return
    console().print(Text(f"{counted(checked.amiss, 'generation')} amiss:", "red"))
    listed = table("document", "tenant", "generation", "rows", "of", "what", right=frozenset({"rows", "of"}))
    for found in checked.offenders:
        of = "" if found.chunks is None else str(found.chunks)
        what = " → ".join(_MEANS[found.kind])
        listed.add_row(found.document_id, found.tenant, found.generation, str(found.rows), of, what)
    console().print(listed)
    if checked.amiss > MOST_SHOWN:
        messages().print(f"The first {MOST_SHOWN} are shown.", style="dim")


def made_with(recorded: dict[str, str]) -> str:
    told = [f"made with {recorded['encoder']}, {recorded['dimension']} dimensions"]
    told += [f"{name} {recorded[name]}" for name in ("precision", "chunking", "format") if recorded.get(name)]
    return ", ".join(told)


def print_abandoned(names: list[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"abandoned": names})
    elif names:
        console().print(f"Removed: {', '.join(names)}. Workers go on with the index that they use.")
    else:
        console().print("No index is being built. A rebuild that has switched already ends when it is run again.")


def print_rebuilt(rebuilt: Rebuilt, took_s: float) -> None:
    how = "encoded anew" if rebuilt.encoded else "copied"
    copied, went_on = counted(rebuilt.copied.rows, "row"), " An interrupted rebuild was continued." * rebuilt.continued
    console().print(f"{rebuilt.name} replaces {rebuilt.replaced}: {copied} {how} in {took_s:.1f} s.{went_on}")
    if rebuilt.kept:
        console().print(f"Kept: {', '.join(rebuilt.kept)}. The next rebuild without --keep-old removes them.")
    if rebuilt.encoded:
        console().print("Workers with the new encoder settings may be started now.")
    print_checked(rebuilt.name, rebuilt.checked)


def print_migrated(migrated: Migrated, source: IndexKind, target: IndexKind, took_s: float) -> None:
    copied, removed = counted(migrated.copied.rows, "row"), migrated.copied.removed
    gone = f", {counted(removed, 'row')} that were over removed" if removed else ""
    console().print(f"{copied} of {migrated.source} copied to {target} in {took_s:.1f} s{gone}.")
    print_checked(target.value, migrated.checked)
    if EmbedSettings.load().index is target:
        console().print(
            f"With all workers on {target} the move is done. {source} is left as it is: remove it when all is well."
        )
    else:
        console().print(
            f"Set WAGGLE_INDEX={target}, restart embed and retrieve workers, then run this command once more."
        )


def plain(checked: Checked) -> dict[str, Any]:
    return {
        "amiss": checked.amiss,
        "rows": checked.total_rows,
        "kinds": {kind.value: {"generations": checked.generations[kind], "rows": checked.rows[kind]} for kind in Kind},
        "offenders": [asdict(found) for found in checked.offenders],
    }


def plain_of_rebuilt(rebuilt: Rebuilt) -> dict[str, Any]:
    return {
        "index": rebuilt.name,
        "replaced": rebuilt.replaced,
        "kept": list(rebuilt.kept),
        "encoded": rebuilt.encoded,
        "continued": rebuilt.continued,
        "copied": asdict(rebuilt.copied),
        "check": plain(rebuilt.checked),
    }

"""Which names may be acted upon: one that is written out and known, never "all", never the broker."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from contracts.platform_errors import NotATargetError, OutOfBoundsError, UnknownTargetError

_EXPLICIT = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NEAREST = 3


def require_explicit(target: str) -> None:
    """Raises `NotATargetError` for what is not one name: empty, a pattern, a list."""
    if not _EXPLICIT.fullmatch(target):
        raise NotATargetError(
            f"{target!r} is not the name of one instance or service: write one name out. Nothing was changed."
        )


def require_known(
    target: str, known: Iterable[str], *, what: str, never: Iterable[str] = (), offered: Iterable[str] = ()
) -> None:
    """`what` says of what kind the names are. Those in `never` exist, and are no targets. Whoever names none of the `known` is
    told the nearest of those that are `offered`, or of all.

    Raises `NotATargetError` and `UnknownTargetError`.
    """
    require_explicit(target)
    if target in never:
        raise NotATargetError(f"{target} is the broker: everything else needs it. To stop all in order: `waggle down`.")
    every = set(known)
    if target in every:
        return
    names = sorted(set(offered) or every)
    nearest = tuple(difflib.get_close_matches(target, names, n=_NEAREST))
    advice = f"Did you mean {' or '.join(nearest)}?" if nearest else f"There are: {', '.join(names) or 'none'}."
    raise UnknownTargetError(f"There is no {what} {target}. {advice}", nearest=nearest)


def require_within(service: str, replicas: int, *, least: int, most: int, advice: str) -> None:
    """Raises `OutOfBoundsError`, naming the bounds; `advice` says how to have more."""
    if least <= replicas <= most:
        return
    bounds = f"exactly {least}" if least == most else f"{least} to {most}"
    more = f" {advice}" if replicas > most and advice else ""
    raise OutOfBoundsError(f"{service} may have {bounds}, not {replicas}.{more}", least=least, most=most)

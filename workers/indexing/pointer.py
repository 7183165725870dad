"""Which table or collection is the index now, and where that is written down."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Protocol

from contracts.errors import PermanentError
from contracts.identifiers import digest, new_id
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex

_KEY_LENGTH = 26
_LATER_S = 0.001
_FRESH = r"_[0-9A-HJKMNP-TV-Z]{26}"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What is known of the indexes of one encoder, by their names.

    Questions are answered from `current`; what is written goes to `current` and to `building`. `source` is what
    `building` is made from, or what `current` was made from and has not been let go of yet. `kept` were replaced
    and are to stay.
    """

    current: str | None = None
    building: str | None = None
    source: str | None = None
    kept: tuple[str, ...] = ()
    switched_at: float = 0.0
    """When `current` became so, in seconds of the epoch: of several encoders the last one is in use."""

    @classmethod
    def from_json(cls, text: str | bytes) -> Pointer:
        """Raises `PermanentError` for what this release did not write."""
        try:
            known = cls(**json.loads(text))
            return replace(known, kept=tuple(known.kept))
        except (ValueError, TypeError) as error:
            raise PermanentError(
                f"what names the current index cannot be read ({error}): upgrade this release if a newer one wrote it"
            ) from error

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @property
    def written(self) -> tuple[str, ...]:
        return tuple(name for name in (self.current, self.building) if name is not None)


def fresh_name(default: str) -> str:
    """A name that no index ever had."""
    return f"{default}_{new_id()}"


def is_named_after(name: str, default: str) -> bool:
    """Whether a name is the default one of a place, or was made by `fresh_name`."""
    return re.fullmatch(re.escape(default) + f"({_FRESH})?", name) is not None


class Site(Protocol):
    """A place that holds indexes under names, and a pointer for each encoder."""

    @property
    def default(self) -> str:
        """The name of the index where nothing was ever rebuilt."""
        ...

    @property
    def where(self) -> str:
        """The place in messages."""
        ...

    @property
    def pointers_in(self) -> str:
        """What of it holds the pointers, in messages."""
        ...

    async def open(self) -> None: ...

    async def pointer(self, key: str) -> Pointer:
        """The newest one that was written; an empty one if none was."""
        ...

    async def pointers(self) -> dict[str, Pointer]: ...

    async def point(self, key: str, pointer: Pointer) -> None:
        """Replace a pointer at one instant; every later `pointer`, of any process, returns it."""
        ...

    async def names(self) -> list[str]:
        """Of all indexes that are there, named by a pointer or not."""
        ...

    async def recorded(self, name: str) -> Mapping[str, str] | None:
        """What an index records of its encoder; None when there is no such index."""
        ...

    def index(self, name: str, identity: EncoderIdentity, *, any_format: bool = False) -> VectorIndex:
        """The index of a name, not yet open; with `any_format` one of an earlier format may be read, too."""
        ...

    def fresh(self) -> str:
        """A name that no index ever had."""
        ...

    async def drop(self, name: str) -> None:
        """Remove an index for good; one that is not there is no error."""
        ...

    async def close(self) -> None: ...


def key_of(identity: EncoderIdentity) -> str:
    """Under which an encoder's pointer is kept."""
    return digest(identity.model, str(identity.dimension), identity.passage_prompt)[:_KEY_LENGTH]


async def in_use(site: Site) -> str | None:
    """The index that was switched to last, whatever its encoder; None when there is none."""
    pointers = sorted((await site.pointers()).values(), key=lambda pointer: pointer.switched_at, reverse=True)
    for name in (*(pointer.current for pointer in pointers), site.default):
        if name is not None and await site.recorded(name) is not None:
            return name
    return None


async def was_replaced(site: Site, name: str) -> bool:
    """Whether an index is not written to any more, or should not even be there.

    It was replaced by one of another encoder and is only kept, or it is one that no pointer names while others are in use:
    a process that was slow to start made it anew after it had been removed.
    """
    pointers = (await site.pointers()).values()
    if any(name in pointer.kept for pointer in pointers):
        return True
    named = {each for pointer in pointers for each in (*pointer.written, pointer.source)}
    return name not in named and any(pointer.current is not None for pointer in pointers)


async def moment_of_switch(site: Site, now: datetime) -> float:
    """The `switched_at` of a switch that is made now: later than every earlier one, whatever the clocks of their hosts said."""
    earlier = [pointer.switched_at for pointer in (await site.pointers()).values()]
    return max([now.timestamp(), *(moment + _LATER_S for moment in earlier)])

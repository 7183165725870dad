"""Label sets: what identifies a series."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

METRIC_NAME: Final = "__name__"
METADATA: Final = frozenset({METRIC_NAME, "__type__", "__unit__"})
"""What says which metric it is, and is dropped wherever a result no longer is that metric."""
BUCKET: Final = "le"


class Labels(Mapping[str, str]):
    """An immutable, hashable set of labels, sorted by name. A label with an empty value is the same as none."""

    __slots__ = ("_hash", "_values")

    def __init__(self, values: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = values.items() if isinstance(values, Mapping) else values
        kept = sorted((name, value) for name, value in pairs if value)
        # Thousands of series share a few names and values: interned, they are held once.
        self._values = {sys.intern(name): sys.intern(value) for name, value in kept}
        self._hash = hash(tuple(kept))

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Labels):
            return self._hash == other._hash and self._values == other._values
        return NotImplemented

    @property
    def metric_name(self) -> str:
        """The value of `__name__`; empty where the set is no metric."""
        return self._values.get(METRIC_NAME, "")

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Names and values, by name: how sets are ordered."""
        return tuple(self._values.items())

    def without(self, names: Iterable[str]) -> Labels:
        """These labels less `names`."""
        dropped = frozenset(names)
        if dropped.isdisjoint(self._values):
            return self
        return Labels((name, value) for name, value in self._values.items() if name not in dropped)

    def only(self, names: Iterable[str]) -> Labels:
        """Of these labels those in `names`."""
        kept = frozenset(names)
        return Labels((name, value) for name, value in self._values.items() if name in kept)

    def updated(self, values: Mapping[str, str]) -> Labels:
        """These labels with others set; an empty value removes one."""
        return Labels({**self._values, **values})

    def __str__(self) -> str:
        """As PromQL writes it: `up{job="embed"}`."""
        inner = ", ".join(f"{name}={_quoted(value)}" for name, value in self._values.items() if name != METRIC_NAME)
        return f"{self.metric_name}{{{inner}}}" if inner or not self.metric_name else self.metric_name

    def __repr__(self) -> str:
        return f"Labels({self})"


EMPTY: Final = Labels()


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'

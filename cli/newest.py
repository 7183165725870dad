"""The newest of what the gateway lists oldest first, a page at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from cli.client import Parameters

T_co = TypeVar("T_co", covariant=True)


class Page(Protocol[T_co]):
    """Entries, and the cursor of the page that follows; None: it is the last one."""

    @property
    def items(self) -> Sequence[T_co]: ...

    @property
    def next(self) -> str | None: ...


async def newest(
    page_of: Callable[[Parameters], Awaitable[Page[T_co]]],
    asked: Parameters,
    *,
    limit: int,
) -> tuple[list[T_co], bool]:
    """The newest `limit` entries, 0 for all, oldest first, and whether there are more of them."""
    found: deque[T_co] = deque(maxlen=limit + 1 if limit else None)
    cursor: str | None = "0"
    while cursor is not None:
        page = await page_of({**asked, "cursor": [cursor]})
        found += page.items
        cursor = page.next
    return list(found)[-limit:], bool(limit) and len(found) > limit

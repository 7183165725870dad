"""Rules that people change while everything runs: texts of rule files in the bucket `config`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog

from contracts import topology
from contracts.errors import PermanentError
from contracts.identifiers import TOKEN
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry
from messaging.watching import POLL_S, BucketWatch, Entries
from observability.rules import Fault, RuleFileError, parse

PREFIX: Final = "rules"
MOST_TEXTS: Final = 256
MOST_BYTES: Final = 512 * 1024
"""Of one text; the broker takes messages of a megabyte."""

log = structlog.get_logger(__name__)


class RuleTextRefusedError(PermanentError):
    """The text was not stored: its name or its size will not do, or there are too many."""


class RuleTexts:
    """One key for each text, `rules.<name>`; its value is the YAML itself, so that any client of the broker can write it.

    Everything raises `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S) -> None:
        self._bucket = Bucket(broker, topology.CONFIG)
        self._watch = BucketWatch(broker, topology.CONFIG, f"{PREFIX}.*", poll_s=poll_s)

    async def put(self, name: str, text: str) -> None:
        """Have these rules in force from now on, in place of those of that name.

        Raises `RuleFileError` for rules that would be refused, `RuleTextRefusedError`, and `StaleRevisionError` when others
        write the same text all the time; what was there before stays.
        """
        if TOKEN.fullmatch(name) is None:
            raise RuleTextRefusedError(f"{name!r} is no name: letters, digits, - and _, 128 at most")
        if len(content := text.encode()) > MOST_BYTES:
            raise RuleTextRefusedError(f"{name} has more than {MOST_BYTES // 1024} KiB: split it")
        await asyncio.to_thread(parse, text, file=called(name))  # a large one takes a second
        known = await self._watch.read()
        if f"{PREFIX}.{name}" not in known and len(known) >= MOST_TEXTS:
            raise RuleTextRefusedError(f"there are {MOST_TEXTS} texts of rules already")
        await self._bucket.overwrite(f"{PREFIX}.{name}", content)

    async def remove(self, name: str) -> bool:
        """Have the rules of that name in force no more; whether there were any."""
        return await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(f"{PREFIX}.{name}")) > 0

    async def read(self) -> dict[str, str | RuleFileError]:
        """All texts by what their rules' file is called, or why they are none."""
        return _texts(await self._watch.read())

    async def states(self) -> AsyncIterator[dict[str, str | RuleFileError]]:
        """As `read`, now and after each change, for ever; a broker that is away is waited for."""
        async for entries in self._watch.states():
            yield _texts(entries)


def called(name: str) -> str:
    """What stands for the file of a text, in faults and where rules are listed."""
    return f"config/{PREFIX}.{name}"


def _texts(entries: Entries) -> dict[str, str | RuleFileError]:
    if len(entries) > MOST_TEXTS:
        log.error("too many texts of rules, some are left out", texts=len(entries), taken=MOST_TEXTS)
    return {called(key.removeprefix(f"{PREFIX}.")): _text(entries[key]) for key in sorted(entries)[:MOST_TEXTS]}


def _text(entry: Entry) -> str | RuleFileError:
    try:
        return (entry.value or b"").decode()
    except UnicodeDecodeError as error:
        name = called(entry.key.removeprefix(f"{PREFIX}."))
        return RuleFileError([Fault(name, 1, f"no text in UTF-8: {error.reason}")])

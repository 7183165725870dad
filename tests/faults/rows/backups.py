"""Backups and restores that are cut off, while clients go on."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from messaging.backup.errors import DamagedBackupError, UnfinishedBackupError
from messaging.backup.progress import unseen
from messaging.backup.reading import StoredBackup
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload
from tests.support.outages import crash
from tests.support.waiting import until

WAGGLE = Path(sys.executable).parent / "waggle"
DOCUMENTS = 200
AT_ONCE = 10
DELETED = 3
REPLACED = 6
KILLS = 6
"""Of each command."""
COMMAND_TIMEOUT_S = 240.0
EARLIEST_S = 0.5
RESTORED_S = 2.0
"""A command has not begun before the one, and a restore may have ended after the other."""


class BackupKills(Row):
    name = "backup and restore cut off"
    fault = "kill -9 of `waggle backup`, of `waggle restore`, and of the broker during both; clients go on meanwhile"
    passes = "no half is taken for a backup; restored at last, every document is there once, in its newest version"

    async def run(self, trial: Trial) -> Outcome:
        outcome, source = Outcome(), trial.random(self.name)
        with TemporaryDirectory(prefix="waggle-backup-") as directory:
            folder = Path(directory) / "backup"
            async with running(seed=trial.seed, scale=trial.scale) as here:
                await _fill(here)
                await self._backups(here, folder, source, outcome, trial)
                before = await here.examine()
                outcome.require(before.clean, f"before the restore: {before}")
            async with running(seed=trial.seed + 1, scale=trial.scale) as there:
                there.books.promises |= here.books.promises
                there.books.deleted |= here.books.deleted
                there.books.uncertain |= here.books.uncertain
                await self._restores(there, folder, source, outcome, trial)
                outcome.verdict = await there.examine()
        return outcome

    async def _backups(self, here: Stack, folder: Path, source: random.Random, outcome: Outcome, trial: Trial) -> None:
        begun = time.monotonic()
        await _done(here, outcome, "backup", str(folder))
        longest_s = time.monotonic() - begun
        work = Workload(here)
        async with work.going_on():
            for _ in range(KILLS):
                with _command(here, "backup", str(folder), "--overwrite") as backup:
                    await backup.killed(after_s=source.uniform(EARLIEST_S, longest_s))
                outcome.kills += 1
                trial.say(f"backup killed, the folder holds {'a' if await _is_whole(folder) else 'no'} whole one")
            with _command(here, "backup", str(folder), "--overwrite") as backup:
                await asyncio.sleep(source.uniform(EARLIEST_S, longest_s))
                await crash(here.server, here.broker)
                outcome.kills += 1
                trial.say(f"broker killed during a backup, which ended with {await backup.ended()}")
        await _done(here, outcome, "backup", str(folder), "--overwrite")

    async def _restores(
        self, there: Stack, folder: Path, source: random.Random, outcome: Outcome, trial: Trial
    ) -> None:
        work = Workload(there)
        with _command(there, "restore", str(folder)) as restore:
            await restore.killed(after_s=source.uniform(EARLIEST_S, RESTORED_S))
        async with work.going_on():
            changing = asyncio.create_task(_change(there, source))
            for _ in range(KILLS - 1):
                with _command(there, "restore", str(folder)) as restore:
                    code = await restore.killed(after_s=source.uniform(EARLIEST_S, RESTORED_S))
                trial.say(f"restore killed, {'ended' if code == 0 else 'cut off'}")
                outcome.kills += 1
            with _command(there, "restore", str(folder)) as restore:
                await asyncio.sleep(source.uniform(EARLIEST_S, RESTORED_S))
                await crash(there.server, there.broker)
                outcome.kills += 1
                trial.say(f"broker killed during a restore, which ended with {await restore.ended()}")
            await _done(there, outcome, "restore", str(folder))
            changing.cancel()
            with suppress(asyncio.CancelledError):
                await changing
        await _done(there, outcome, "restore", str(folder))


async def _fill(stack: Stack) -> None:
    work = Workload(stack)
    await work.prepare()
    texts = [work.fresh(parts=1) for _ in range(DOCUMENTS)]
    for start in range(0, DOCUMENTS, AT_ONCE):
        await asyncio.gather(*(stack.client.submit_surely(text) for text in texts[start : start + AT_ONCE]))
    names = [text.document_id for text in texts]
    for name in names[:REPLACED]:
        await work.replace(name)
    for name in names[-DELETED:]:
        await stack.client.delete(name)
    await stack.oracle.settled(stack.scale.settle_s)


async def _change(stack: Stack, source: random.Random) -> None:
    """Replace and delete documents as soon as they are back."""
    work = Workload(stack)
    left = sorted(set(stack.books.promises) - stack.books.deleted)
    source.shuffle(left)
    while left:
        name = left.pop()
        work.versions[name] = await _version(stack, name)
        if len(left) % 4:
            await work.replace(name)
        else:
            await stack.client.delete(name)
        await asyncio.sleep(0.2)


async def _version(stack: Stack, name: str) -> int:
    """The version of a document once it is there."""
    versions: list[int] = []

    async def restored() -> bool:
        if (shown := await stack.client.show(name)) is not None:
            versions.append(shown["version"])
        return bool(versions)

    await until(restored, timeout_s=COMMAND_TIMEOUT_S, what=f"{name} is restored")
    return versions[0]


@contextmanager
def _command(stack: Stack, *arguments: str) -> Iterator[Command]:
    with _log(stack).open("wb") as log:
        process = subprocess.Popen(  # not by the loop, whose fork the index of the oracle does not bear
            [WAGGLE, *arguments],
            env={"PATH": "/usr/bin:/bin", **stack.fleet.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Command(process)
    finally:
        process.kill()
        process.wait()


class Command:
    """A command of Waggle that runs."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    async def ended(self, *, within_s: float = COMMAND_TIMEOUT_S) -> int | None:
        """Its exit code, None when it takes longer."""
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, within_s)
        return None

    async def killed(self, *, after_s: float) -> int:
        """Kill it, if it has not ended by then; its exit code."""
        code = await self.ended(within_s=after_s)
        if code is not None:
            return code
        self._process.kill()
        return self._process.wait()


async def _done(stack: Stack, outcome: Outcome, *arguments: str) -> None:
    with _command(stack, *arguments) as command:
        code = await command.ended()
    said = _log(stack).read_text(encoding="utf-8", errors="replace")
    outcome.require(code == 0, f"waggle {arguments[0]} ended with {code}: {said}")


def _log(stack: Stack) -> Path:
    return stack.folder / "command.log"


async def _is_whole(folder: Path) -> bool:
    """False when it says itself that it is none. Anything else that is amiss is an error."""
    try:
        await StoredBackup.checked(folder, unseen)
    except UnfinishedBackupError:
        return False
    except DamagedBackupError as error:
        raise AssertionError(f"a half was taken for a backup: {error}") from error
    return True

"""Reads files in a separate process, so that whatever is in them can only end that process."""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import structlog

from contracts.errors import DocumentError, ErrorCode, TransientError
from workers.ingest.confinement import Limits
from workers.ingest.cutting import Cutting
from workers.ingest.jobs import MESSAGE_BYTES, OUT_OF_MEMORY, Ended, Job, Started, Withdrawal
from workers.ingest.result_file import Result, UnreadableResultError

MiB = 1024 * 1024
# A child that dies by one of these while it holds most of its memory has died of it: not all code checks what it asks for.
_MEMORY_SIGNALS = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGTRAP, signal.SIGILL, signal.SIGBUS})
_MEMORY_SHARE = 0.5
# The process enforces the wall time itself; this is for the case that it is stuck.
_GRACE_S = 15.0

log = structlog.get_logger(__name__)


class ParsingInterruptedError(TransientError):
    """The parser process was lost through no fault of the file; it is started anew. Try again."""


class Sandbox:
    """A parser process that reads several files at a time, each in a confined child of its own.

    Started when first needed or by `start`, and again after it was lost. The process gets none of the worker's
    environment, and no network where the kernel allows it. It is handed the file to read and the one to write, but runs
    as the same user: it could open what that user may open.
    """

    def __init__(self, *, tokenizer: Path | None, limits: Limits) -> None:
        self._tokenizer = tokenizer
        self._limits = limits
        self._numbers = itertools.count(1)
        self._starting = asyncio.Lock()
        self._process: _Process | None = None
        self._has_warned = False

    @property
    def is_running(self) -> bool:
        return self._process is not None and not self._process.lost

    async def start(self) -> None:
        """Have the process ready."""
        await self._ready()

    async def close(self) -> None:
        """End the process; files being read raise `ParsingInterruptedError`."""
        if self._process is not None:
            await self._process.close()

    @asynccontextmanager
    async def extract(self, content: BinaryIO, *, name: str, cutting: Cutting) -> AsyncIterator[Result]:
        """Read a file and yield what was found, which may be used inside the `async with`.

        Raises `DocumentError` for a file that cannot be read (also PARSER_TIMEOUT, PARSER_MEMORY and PARSER_CRASHED),
        `ParsingInterruptedError` when the process was lost. Cancellation kills the child.
        """
        job = Job(number=next(self._numbers), name=name, cutting=cutting, limits=self._limits)
        with TemporaryFile() as target:
            process = await self._ready()
            ended = await process.run(job, content, target)
            yield self._result(ended, target)

    async def _ready(self) -> _Process:
        async with self._starting:
            if self._process is not None and self._process.lost:
                await self._process.close()
            if self._process is None or self._process.lost:
                self._process = await _Process.start(self._tokenizer, self._on_started)
            return self._process

    def _on_started(self, started: Started) -> None:
        if started.reaches_network and not self._has_warned:
            self._has_warned = True
            log.warning(
                "the parser process can reach the network: this kernel lets it neither leave it nor deny itself sockets; what it "
                "reads is confined by limits only"
            )

    def _result(self, ended: Ended, target: BinaryIO) -> Result:
        if ended.status == 0:
            try:
                return Result(target)
            except UnreadableResultError as error:
                raise self._crashed("did not finish its result") from error
        raise self._failure(ended)

    def _failure(self, ended: Ended) -> DocumentError:
        limits = self._limits
        if ended.timed_out or ended.status == -signal.SIGXCPU:
            limit = f"{limits.wall_s:g} s" if ended.timed_out else f"{limits.cpu_s} s of processor time"
            return DocumentError(
                ErrorCode.PARSER_TIMEOUT,
                f"Reading the file took longer than {limit}. Split it into smaller files, or raise "
                f"{'WAGGLE_PARSER_TIMEOUT_S' if ended.timed_out else 'WAGGLE_PARSER_CPU_S'}.",
            )
        if self._ran_out_of_memory(ended):
            return DocumentError(
                ErrorCode.PARSER_MEMORY,
                f"Reading the file takes more than {limits.memory_bytes // MiB} MiB of memory. "
                "Split it into smaller files, or raise WAGGLE_PARSER_MEMORY_MB.",
            )
        return self._crashed(f"ended with status {ended.status}")

    def _ran_out_of_memory(self, ended: Ended) -> bool:
        if ended.status in (OUT_OF_MEMORY, -signal.SIGKILL):
            return True
        return -ended.status in _MEMORY_SIGNALS and ended.peak_bytes > self._limits.memory_bytes * _MEMORY_SHARE

    def _crashed(self, how: str) -> DocumentError:
        return DocumentError(
            ErrorCode.PARSER_CRASHED,
            f"The parser {how} while reading the file. Open the file with its program, save it anew or as PDF, "
            "and upload that.",
        )


@dataclass
class _Process:
    """The running parser process and the jobs it has in hand."""

    process: asyncio.subprocess.Process
    socket: socket.socket
    waiting: dict[int, asyncio.Future[Ended]]
    on_started: Callable[[Started], None]
    listener: asyncio.Task[None] | None = None
    lost: bool = False

    @classmethod
    async def start(cls, tokenizer: Path | None, on_started: Callable[[Started], None]) -> _Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                f"{__package__}.parsing_process",
                str(theirs.fileno()),
                *([str(tokenizer)] if tokenizer else []),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )
        started = cls(process=process, socket=ours, waiting={}, on_started=on_started)
        started.listener = asyncio.create_task(started._listen(), name="parser process")
        return started

    async def run(self, job: Job, content: BinaryIO, target: BinaryIO) -> Ended:
        ended: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self.waiting[job.number] = ended
        try:
            content.flush()
            content.seek(0)
            socket.send_fds(self.socket, [job.to_bytes()], [content.fileno(), target.fileno()])
            async with asyncio.timeout(job.limits.wall_s + _GRACE_S):
                return await ended
        except asyncio.CancelledError:
            self._withdraw(job)
            raise
        except (OSError, TimeoutError) as error:
            self._kill()
            raise ParsingInterruptedError(f"the parser process does not answer ({error!r}); try again") from error
        finally:
            self.waiting.pop(job.number, None)

    async def close(self) -> None:
        """The process ends when its socket closes, and takes its children with it."""
        self.lost = True
        if self.listener is not None:
            self.listener.cancel()
            await asyncio.gather(self.listener, return_exceptions=True)
        self.socket.close()
        await self.process.wait()

    def _withdraw(self, job: Job) -> None:
        with suppress(OSError):  # then there is no process that could go on with it
            self.socket.send(Withdrawal(number=job.number).to_bytes())

    def _kill(self) -> None:
        self.lost = True
        with suppress(ProcessLookupError):
            self.process.kill()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            if message := await loop.sock_recv(self.socket, MESSAGE_BYTES):
                self.on_started(Started.from_bytes(message))
            while message := await loop.sock_recv(self.socket, MESSAGE_BYTES):
                ended = Ended.from_bytes(message)
                if (waiting := self.waiting.get(ended.number)) and not waiting.done():
                    waiting.set_result(ended)
        finally:
            self.lost = True
            self._give_up()

    def _give_up(self) -> None:
        for waiting in self.waiting.values():
            if not waiting.done():
                waiting.set_exception(ParsingInterruptedError("the parser process was lost; it is started anew"))


def _environment() -> dict[str, str]:
    """No secrets, no proxies: only where our code is, and that tokenizers start no threads before a fork."""
    root = Path(__file__).resolve().parents[2]
    return {"PYTHONPATH": str(root), "TOKENIZERS_PARALLELISM": "false", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}

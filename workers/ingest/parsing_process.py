"""The process that strangers' files are read in: it holds the parsers ready and forks a child for each file.

Started by `workers.ingest.sandbox` as `python -m workers.ingest.parsing_process SOCKET [TOKENIZER]`, with an empty
environment. On the socket goes that it is ready; then come jobs (with two file descriptors each: the file to read, the file to write to) and go
their ends. A fork costs milliseconds where a fresh interpreter with all parsers costs seconds; the child is confined
before it looks at the first byte. When the socket closes, everything ends.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers.ingest.confinement import die_with_parent, leave_network
from workers.ingest.jobs import MESSAGE_BYTES, Ended, Job, Started, Withdrawal
from workers.ingest.reading import read_file
from workers.ingest.system_calls import deny_calls
from workers.ingest.tokenization import Tokenizer, load_tokenizer


@dataclass
class _Child:
    pid: int
    job: Job
    deadline: float
    timed_out: bool = False


class ParsingProcess:
    """Forks a child per job, kills those that take too long, and reports how each ended. Has a single thread."""

    def __init__(self, jobs: socket.socket, tokenizer: Tokenizer) -> None:
        self._jobs = jobs
        self._tokenizer = tokenizer
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Serve until the socket closes; children at work are killed then."""
        wakeup, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._jobs, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(self._until_next_deadline())}
                if wakeup in ready:
                    wakeup.recv(4096)
                self._reap()
                self._kill_late()
                if self._jobs in ready and not self._take():
                    break
        self._kill(self._children.values())

    def _take(self) -> bool:
        """Start the next job, or end a withdrawn one; False when the worker is gone."""
        message, descriptors, _, _ = socket.recv_fds(self._jobs, MESSAGE_BYTES, 2)
        if not message:
            return False
        if not descriptors:
            withdrawn = Withdrawal.from_bytes(message).number
            self._kill([child for child in self._children.values() if child.job.number == withdrawn])
            return True
        self._start(Job.from_bytes(message), *descriptors)
        return True

    def _start(self, job: Job, source: int, target: int) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_child(job, source, target)
        os.close(source)
        os.close(target)
        self._children[pid] = _Child(pid, job, time.monotonic() + job.limits.wall_s)

    def _be_child(self, job: Job, source: int, target: int) -> None:
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            die_with_parent()
            self._jobs.close()
            status = read_file(job, source, target, tokenizer=self._tokenizer)
        except BaseException:  # noqa: BLE001 - a child must not become a second server
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        for child in list(self._children.values()):
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                ended = Ended(
                    number=child.job.number,
                    status=os.waitstatus_to_exitcode(status),
                    timed_out=child.timed_out,
                    peak_bytes=usage.ru_maxrss * 1024,
                )
                with suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone; the next read tells
                    self._jobs.send(ended.to_bytes())

    def _kill_late(self) -> None:
        now = time.monotonic()
        late = [child for child in self._children.values() if child.deadline <= now]
        for child in late:
            child.timed_out = True
        self._kill(late)

    def _kill(self, children: Iterable[_Child]) -> None:
        for child in children:
            with suppress(ProcessLookupError):  # before its setsid, or after its end
                os.killpg(child.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

    def _until_next_deadline(self) -> float | None:
        deadlines = [child.deadline for child in self._children.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None


def main() -> None:
    die_with_parent()
    has_left = leave_network()
    jobs = socket.socket(fileno=int(sys.argv[1]))
    tokenizer = load_tokenizer(Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    denied = deny_calls()
    with suppress(BrokenPipeError, ConnectionResetError):  # the worker is gone; the first read tells
        jobs.send(Started(reaches_network=not (has_left or denied)).to_bytes())
    gc.collect()
    gc.freeze()  # what is shared with the children is not copied by their garbage collection
    ParsingProcess(jobs, tokenizer).run()


if __name__ == "__main__":
    main()

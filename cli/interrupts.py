"""How commands are interrupted that have processes under them, or something to tidy up."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal stop the stack as Ctrl-C does; a second signal does not interrupt the stopping."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    signals = _heeded()
    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


async def unless_interrupted(work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`, None when it was interrupted: it is cancelled then, and what comes after it goes on."""
    loop, working = asyncio.get_running_loop(), asyncio.ensure_future(work)
    signals = _heeded()
    for each in signals:
        loop.add_signal_handler(each, working.cancel)
    try:
        await asyncio.wait({working})
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    return None if working.cancelled() else working.result()


def _heeded() -> list[signal.Signals]:
    return [each for each in _SIGNALS if signal.getsignal(each) != signal.SIG_IGN]  # as under nohup

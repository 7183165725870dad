"""Ends the processes of vLLM's engine with the worker that started them.

vLLM loads this as a plugin (`vllm.general_plugins` in pyproject.toml) in each of its processes. By itself the engine
outlives a worker that is killed, and keeps the memory that the next one needs.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this process as soon as the one that started it is gone; in the worker itself do nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlive, args=(parent.sentinel,), name="end with parent", daemon=True).start()


def _outlive(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)

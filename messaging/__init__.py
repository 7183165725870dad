"""The only code that talks to NATS."""

import sys

# nats-py imports aiohttp where that is installed, for websockets, which nobody speaks here: 6 MiB of every process.
if "aiohttp" not in sys.modules:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
    try:
        import nats.aio.transport  # noqa: F401
    finally:
        del sys.modules["aiohttp"]

"""What it costs a publisher that every acknowledged message is on the disk."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import nats
from nats.js import JetStreamContext

from deploy.local.nats_server import NatsServer

ROUNDS = 20
PER_ROUND = 50
WARM_UP = 100
BYTES = 1024
SUBJECT = "cost.of.durability"
_ALWAYS = "  sync_interval: always\n"


class ForgetfulServer(NatsServer):
    """A server with the broker's default: it syncs to the disk every two minutes."""

    def config(self) -> str:
        text = super().config()
        if _ALWAYS not in text:
            raise AssertionError("the broker's configuration does not name its sync interval as it did")
        return text.replace(_ALWAYS, "")


async def durability_cost_ratio() -> float:
    """Median time of a publish with `sync_interval: always` over that with the default, measured in turns."""
    with (
        TemporaryDirectory(prefix="waggle-durability-") as folder,
        NatsServer(Path(folder) / "always") as always,
        ForgetfulServer(Path(folder) / "default") as default,
    ):
        times_s: tuple[list[float], list[float]] = [], []
        connections = [await nats.connect(server.url) for server in (always, default)]
        try:
            streams = [await _stream(nc.jetstream()) for nc in connections]
            for _ in range(ROUNDS):
                for js, spent in zip(streams, times_s, strict=True):
                    spent += [await _publish(js) for _ in range(PER_ROUND)]
        finally:
            for nc in connections:
                await nc.close()
    return median(times_s[0]) / median(times_s[1])


async def _stream(js: JetStreamContext) -> JetStreamContext:
    await js.add_stream(name="COST", subjects=[SUBJECT])
    for _ in range(WARM_UP):
        await _publish(js)
    return js


async def _publish(js: JetStreamContext) -> float:
    """Seconds until one message was acknowledged."""
    begun = time.perf_counter()
    await js.publish(SUBJECT, b"x" * BYTES)
    return time.perf_counter() - begun

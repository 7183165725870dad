"""The broker: is it there, is it new enough, does it have JetStream, does it keep what it acknowledges."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from contracts.errors import WaggleError
from contracts.settings import AllSettings, BrokerSettings
from contracts.settings_source import ConfigurationError
from deploy.checkup.finding import Finding, fail, ok, warn
from deploy.local.access import settings_of
from deploy.local.addresses import RunningStack
from deploy.local.layout import layout_of
from deploy.local.nats_server import NatsServer, NatsServerError, find_binary
from messaging.broker import Broker
from messaging.drift import drift, store_probe
from messaging.errors import BrokerFullError
from messaging.furniture import LEAST_PAYLOAD_BYTES, payload_advice

LEAST_VERSION = (2, 12)
CONNECT_S = 5.0
SKEW_S = 60.0
_NUMBERS = re.compile(r"(\d+)\.(\d+)\.?(\d*)")


def program(settings: AllSettings) -> Finding:
    """The nats-server that `waggle up` would start."""
    if "nats_url" in settings.model_fields_set:
        return ok("nats-server", "not needed: WAGGLE_NATS_URL names a broker")
    try:
        binary = find_binary()
    except NatsServerError as error:
        return fail("nats-server", "not found", str(error))
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    return ok("nats-server", f"{said.rpartition(' ')[2]} at {binary}")


async def connection(settings: AllSettings) -> list[Finding]:
    """Version, JetStream and clock of the broker in use; one remark when none is meant to run now."""
    named = "nats_url" in settings.model_fields_set
    running = None if named else RunningStack.read(layout_of(settings))
    if running is None and not named:
        return [ok("broker", "not running; `waggle up` starts one")]
    url = running.nats_url if running else settings.nats_url
    shown = (
        settings_of(running, layout_of(settings)) if running else BrokerSettings().model_copy(update={"nats_url": url})
    )
    try:
        async with _connected(shown) as broker:
            return [
                _version(broker, url),
                _payload(broker),
                await _jetstream(broker),
                await _storage(broker),
                await _topology(broker),
                _clock(broker),
            ]
    except TimeoutError:
        advice = "Start it, or correct WAGGLE_NATS_URL." if named else "Run `waggle down`, then `waggle up`."
        return [fail("broker", f"nobody answers at {url}", advice)]
    except ConfigurationError as error:
        return [fail("broker", str(error), "Correct the setting; the broker was not asked.")]
    except WaggleError as error:
        return [fail("broker", str(error), "Correct WAGGLE_NATS_USER, WAGGLE_NATS_PASSWORD or the credentials file.")]


def sync_interval(settings: AllSettings) -> Finding:
    """Whether an acknowledged message survives a power cut."""
    if "nats_url" in settings.model_fields_set:
        advice = (
            "Make sure that its configuration says `jetstream { sync_interval: always }`: the default loses minutes."
        )
        return warn("sync_interval", "cannot be seen from a client of a broker that is not ours", advice)
    layout = layout_of(settings)
    file = NatsServer(layout.nats).config_file
    if not file.exists():
        return ok("sync_interval", "always, once `waggle up` has written the configuration")
    if re.search(r"^\s*sync_interval:\s*always\s*$", file.read_text(encoding="utf-8"), re.MULTILINE):
        return ok("sync_interval", "always")
    advice = f"{file} was changed by hand: stop the stack and start it again, which writes it anew."
    return fail("sync_interval", "not `always`: a power cut would lose acknowledged documents", advice)


@asynccontextmanager
async def _connected(settings: BrokerSettings) -> AsyncIterator[Broker]:
    async with asyncio.timeout(CONNECT_S):
        broker = await Broker.connect(settings, name="doctor", on_closed=lambda: None)
    try:
        yield broker
    finally:
        await broker.close()


def _version(broker: Broker, url: str) -> Finding:
    version = str(broker.nc.connected_server_version)
    found = _NUMBERS.search(version)
    if found and (int(found[1]), int(found[2])) < LEAST_VERSION:
        return fail("broker", f"nats-server {version} at {url}", "Upgrade it to 2.12 or newer.")
    return ok("broker", f"nats-server {found[0] if found else version} at {url}")


async def _jetstream(broker: Broker) -> Finding:
    try:
        account = await broker.js.account_info()
    except Exception as error:  # noqa: BLE001  (whatever it is, the answer is the same advice)
        return fail(
            "jetstream", f"not available: {error}", "Switch it on in the broker's configuration: `jetstream {}`."
        )
    return ok("jetstream", f"{account.streams} streams, {account.consumers} consumers")


def _payload(broker: Broker) -> Finding:
    limit = broker.nc.max_payload
    if limit < LEAST_PAYLOAD_BYTES:
        return fail("max_payload", payload_advice(limit), "Change it there and restart the broker.")
    return ok("max_payload", f"{limit} bytes")


async def _storage(broker: Broker) -> Finding:
    """Whether a message can be stored: nothing else shows a disk that is full."""
    try:
        await store_probe(broker)
    except BrokerFullError as error:
        return fail("storage", str(error), "What waits goes on by itself once there is room.")
    except WaggleError as error:
        advice = (
            "If the broker's disk is full, its log says `no space left on device`: make room, then restart the broker. "
            "Otherwise run `waggle provision`."
        )
        return fail("storage", f"a message cannot be stored: {error}", advice)
    return ok("storage", "messages are stored")


async def _topology(broker: Broker) -> Finding:
    found = await drift(broker)
    if found:
        return fail("topology", "; ".join(found), "Run `waggle provision`: it sets right what can be.")
    return ok("topology", "streams, consumers and buckets are as they should be")


def _clock(broker: Broker) -> Finding:
    if not broker.clock.synchronised:
        return warn("clock", "the broker's time is not known yet", "Run `waggle provision`, then look again.")
    skew_s = (datetime.now(UTC) - broker.clock.now()).total_seconds()
    if abs(skew_s) > SKEW_S:
        return warn("clock", f"this host is {skew_s:+.0f} s off the broker", "Waggle copes, logs do not: set up NTP.")
    return ok("clock", f"{skew_s:+.2f} s from the broker")

"""A stream that has to be made anew, because a setting cannot be changed in place."""

from __future__ import annotations

from dataclasses import replace

from nats.js import api

from messaging.broker import Broker
from messaging.errors import ProvisioningError

CLOSED = "waggle.closed"
"""Where a stream listens that is about to be replaced: nobody publishes there."""


async def replaced_when_empty(broker: Broker, wanted: api.StreamConfig, info: api.StreamInfo, why: str) -> list[str]:
    """Delete and create a stream that holds nothing; its consumers are to be created again.

    Publishers are turned away before the last look, so that nothing that was acknowledged is deleted. Raises
    `ProvisioningError` when there is something; the stream is then as it was.
    """
    _require_empty(info, why)
    name = str(wanted.name)
    await broker.js.update_stream(replace(info.config, subjects=[f"{CLOSED}.{name}"], republish=None))
    try:
        closed = await broker.js.stream_info(name)
        _require_empty(closed, why)
    except BaseException:
        await broker.js.update_stream(info.config)
        raise
    await broker.js.delete_stream(name)
    await broker.js.add_stream(wanted)
    return [f"replaced stream {name}, which was empty: {why}"]


def _require_empty(info: api.StreamInfo, why: str) -> None:
    if info.state.messages:
        age = f" (each is gone after {info.config.max_age:g} s)" if info.config.max_age else ""
        raise ProvisioningError(
            f"{why}, and it holds {info.state.messages} messages: stop the gateways, let the workers finish until it is "
            f"empty{age}, and provision again"
        )

"""What a change of a stream's settings would delete. Limits are applied to stored messages at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import nats.js.errors
from nats.js import api

from messaging.broker import Broker


async def losses(
    broker: Broker, info: api.StreamInfo, wanted: api.StreamConfig, changes: dict[str, tuple[Any, Any]]
) -> str | None:
    """Which stored messages `changes` would delete, as a clause naming the setting and both values; None if none."""
    if not info.state.messages:
        return None
    for setting, judge in _JUDGES.items():
        if setting in changes and await judge(broker, info, wanted):
            have, want = changes[setting]
            return f"changing {setting} from {have} to {want} would delete stored messages"
    return None


async def _over_bytes(_: Broker, info: api.StreamInfo, wanted: api.StreamConfig) -> bool:
    limit = wanted.max_bytes or 0
    return limit > 0 and info.state.bytes > limit


async def _over_age(broker: Broker, info: api.StreamInfo, wanted: api.StreamConfig) -> bool:
    if not wanted.max_age:
        return False
    try:
        oldest = await broker.js.get_msg(str(wanted.name), seq=info.state.first_seq, subject=">", next=True)
    except nats.js.errors.NotFoundError:  # the last one went away meanwhile
        return False
    return oldest.time is not None and broker.clock.now() - oldest.time > timedelta(seconds=wanted.max_age)


async def _over_per_subject(broker: Broker, _: api.StreamInfo, wanted: api.StreamConfig) -> bool:
    if wanted.max_msgs_per_subject < 1:
        return False
    counted = await broker.js.stream_info(str(wanted.name), subjects_filter=">")
    return any(count > wanted.max_msgs_per_subject for count in (counted.state.subjects or {}).values())


async def _orphaned(broker: Broker, info: api.StreamInfo, wanted: api.StreamConfig) -> bool:
    """Messages on a subject that the stream would no longer have stay stored but are out of reach of its consumers."""
    for subject in set(info.config.subjects or ()) - set(wanted.subjects or ()):
        counted = await broker.js.stream_info(str(wanted.name), subjects_filter=subject)
        if counted.state.subjects:
            return True
    return False


_JUDGES = {
    "max_bytes": _over_bytes,
    "max_age": _over_age,
    "max_msgs_per_subject": _over_per_subject,
    "subjects": _orphaned,
}

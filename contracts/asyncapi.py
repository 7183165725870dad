"""The AsyncAPI 3.0 document of the message API, derived from `CHANNELS` and the message classes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from contracts.channels import CHANNELS, Channel
from contracts.message import Message

Json = dict[str, Any]

ASYNCAPI_VERSION = "3.0.0"
_REFERENCE = "#/components/schemas/{model}"


def document(version: str, channels: Iterable[Channel] = CHANNELS) -> Json:
    """The whole document as plain JSON values. `version` is the release it describes."""
    channels = tuple(channels)
    messages = sorted({m for c in channels for m in c.messages}, key=lambda m: m.__name__)
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "Waggle message API",
            "version": version,
            "license": {"name": "Apache-2.0"},
            "description": "Work, answers, facts and heartbeats of a Waggle fleet, as NATS messages.",
        },
        "defaultContentType": "application/json",
        "servers": {"nats": {"host": "127.0.0.1:4222", "protocol": "nats"}},
        "channels": {c.name: _channel(c) for c in channels},
        "operations": dict(_operations(channels)),
        "components": {"messages": {m.__name__: _message(m) for m in messages}, "schemas": _schemas(messages)},
    }


def _channel(channel: Channel) -> Json:
    parameters = re.findall(r"\{(\w+)\}", channel.address)
    stored = f" Stored in the stream {channel.stream.name}." if channel.stream else " Not persisted."
    return {
        "address": channel.address,
        "summary": channel.summary,
        "description": channel.summary + stored,
        "parameters": {name: {"description": f"A token: {name.replace('_', ' ')}."} for name in parameters},
        "messages": {m.__name__: {"$ref": f"#/components/messages/{m.__name__}"} for m in channel.messages},
    }


def _operations(channels: Iterable[Channel]) -> Iterable[tuple[str, Json]]:
    for channel in channels:
        reference = {"$ref": f"#/channels/{channel.name}"}
        title = channel.name[0].upper() + channel.name[1:]
        for action, services in (("send", channel.senders), ("receive", channel.receivers)):
            for service in services:
                yield f"{service}{action.capitalize()}{title}", {"action": action, "channel": reference}


def _message(message: type[Message]) -> Json:
    return {
        "name": message.__name__,
        "summary": (message.__doc__ or "").strip().splitlines()[0],
        "x-schema-version": message.VERSION,
        "payload": {"$ref": _REFERENCE.format(model=message.__name__)},
    }


def _schemas(messages: Iterable[type[Message]]) -> Json:
    _, definitions = models_json_schema([(m, "validation") for m in messages], ref_template=_REFERENCE)
    schemas: Json = definitions["$defs"]
    return schemas

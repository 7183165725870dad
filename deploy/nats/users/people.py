"""Users of commands that people run: `waggle provision`, and all others that speak to the broker themselves."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import CONSUMERS
from deploy.nats.grants import API, PLACES, Grant, asks, hears, publishes, stream_of
from deploy.nats.user import User

_PLACES = tuple(stream_of(place) for place in PLACES)

PROVISION = User(
    name="provision",
    why="`waggle provision`: makes and corrects streams, consumers and buckets, and writes nothing into them.",
    grants=(
        asks(
            "INFO",
            *(
                f"STREAM.{verb}.{place}"
                for verb in ("INFO", "CREATE", "UPDATE", "DELETE", "MSG.GET")
                for place in _PLACES
            ),
            why="Streams and buckets; what a change would lose is looked at before. One that is empty may be made anew.",
        ),
        asks(
            *(
                f"CONSUMER.{verb}.{each.stream.name}.{each.durable}"
                for verb in ("INFO", "DELETE")
                for each in CONSUMERS
            ),
            *(f"CONSUMER.CREATE.{each.stream.name}.{each.durable}.>" for each in CONSUMERS),
            why="Consumers.",
        ),
    ),
)

ADMIN = User(
    name="admin",
    why="`waggle backup`, `restore`, `index`, `keys`, `cache`, `endpoints`, `reconcile`, `pause`, `doctor` and their like. "
    "Everything but recovery commands and what others are answered.",
    grants=(
        publishes("rag.>", "$KV.>", "$O.>", why="Whatever a backup brings back, and orders to processes."),
        publishes(f"{API}.>", why="All of JetStream."),
        hears("rag.>", "$KV.>", "$O.>", "$JS.EVENT.>", why="Whatever happens."),
    ),
    denied=(Grant(why="Only the observer gives commands.", publish=(f"{subjects.RECOVERY_COMMANDS}.>",)),),
)

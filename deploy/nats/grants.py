"""What a user may be granted, in words of the topology; whatever is not granted is denied.

A request to JetStream is a publication on `$JS.API.…`, and its answer comes to the inbox of whoever asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from contracts import subjects
from contracts.topology import EVENTS, SUSPECTS, Consumer, KeyValue, ObjectBucket, Stream, Topology

API = "$JS.API"
Place = Stream | KeyValue | ObjectBucket
"""A stream, or a bucket, which is one by another name."""

_TABLE = Topology()
PLACES: tuple[Place, ...] = (*_TABLE.streams, *_TABLE.key_values, *_TABLE.object_buckets)
"""All there are."""


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Subjects (wildcards allowed) that a user may publish and subscribe to, and why."""

    why: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()


def stream_of(place: Place) -> str:
    """The name of the stream behind it."""
    if isinstance(place, KeyValue):
        return f"KV_{place.name}"
    return f"OBJ_{place.name}" if isinstance(place, ObjectBucket) else place.name


def inbox(user: str) -> str:
    """The prefix of all reply subjects of a user."""
    return f"_INBOX_{user}"


def publishes(*given: str, why: str) -> Grant:
    return Grant(why=why, publish=given)


def hears(*given: str, why: str) -> Grant:
    return Grant(why=why, subscribe=given)


def asks(*requests: str, why: str) -> Grant:
    """Requests to JetStream, named as in `$JS.API.<request>`."""
    return Grant(why=why, publish=tuple(f"{API}.{request}" for request in requests))


def answers(*users: str, why: str) -> Grant:
    """Answers to whoever of these users asked."""
    return Grant(why=why, publish=tuple(f"{inbox(user)}.>" for user in users))


def reads(*places: Place, why: str) -> Grant:
    """All that is stored there. With replicas the leader is asked for single messages."""
    names = [stream_of(place) for place in places]
    return asks(
        *(f"DIRECT.GET.{name}" for name in names),
        *(f"DIRECT.GET.{name}.>" for name in names),
        *(f"STREAM.MSG.GET.{name}" for name in names),
        *(f"STREAM.INFO.{name}" for name in names),
        why=why,
    )


def writes(bucket: KeyValue, *keys: str, why: str) -> Grant:
    """Keys of a bucket, or patterns of them."""
    return Grant(why=why, publish=tuple(f"$KV.{bucket.name}.{key}" for key in keys or (">",)))


def uploads_to(bucket: ObjectBucket, *, why: str) -> Grant:
    """Objects: their chunks and their entries."""
    return Grant(why=why, publish=(f"$O.{bucket.name}.C.*", f"$O.{bucket.name}.M.*"))


def purges(*places: Place, why: str) -> Grant:
    """Removing by subject; which subjects is in the request's body, where no permission reaches."""
    return asks(*(f"STREAM.PURGE.{stream_of(place)}" for place in places), why=why)


def removes(*places: Place, why: str) -> Grant:
    """Removing single messages."""
    return asks(*(f"STREAM.MSG.DELETE.{stream_of(place)}" for place in places), why=why)


def consumes(consumer: Consumer, *, why: str) -> tuple[Grant, ...]:
    """Work of one consumer: taking it, settling it, counting attempts at what came again, giving it up."""
    stream, durable = consumer.stream.name, consumer.durable
    suspects = f"$KV.{SUSPECTS.name}.{stream}.*"
    return (
        Grant(
            why=why,
            publish=(
                f"{API}.CONSUMER.MSG.NEXT.{stream}.{durable}",
                f"{API}.CONSUMER.INFO.{stream}.{durable}",
                f"$JS.ACK.{stream}.{durable}.>",
            ),
        ),
        publishes(subjects.dead_letter(stream, "*"), why="Dead letters of what it gives up."),
        Grant(why="Attempts at messages that came again.", publish=(suspects,)),
        reads(SUSPECTS, why="Attempts at messages that came again."),
    )


def process(service: str) -> tuple[Grant, ...]:
    """What every process of the fleet does."""
    return (
        publishes(subjects.health(service, "*"), subjects.metrics(service, "*"), why="What it tells of itself."),
        asks(f"STREAM.INFO.{EVENTS.name}", why="The broker's time, which every answer about a stream carries."),
    )


def worker(service: str) -> tuple[Grant, ...]:
    """As `process`, and orders to it, given by people on this host and by the operator."""
    return (
        *process(service),
        hears(subjects.control(service, "*"), why="Orders: pause, drain, stacks."),
        answers("admin", "operator", why="Answers to orders."),
    )

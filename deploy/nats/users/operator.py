"""The operator: what it may do is all that somebody could who got hold of it. It sees neither questions nor documents."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import CACHE, CONFIG, CONSUMERS, LEASES, OPERATORS, OPS
from deploy.nats.grants import asks, consumes, hears, publishes, purges, reads, stream_of, worker, writes
from deploy.nats.user import User

OPERATOR = User(
    name="operator",
    why="Does what the observer orders. The only one that is given recovery commands, and it can give none.",
    grants=(
        *worker("operator"),
        *consumes(OPERATORS, why="Commands."),
        hears(subjects.health("*", "*"), why="Who is there."),
        publishes(subjects.control("*", "*"), why="Orders to single processes: stacks, caches."),
        publishes(subjects.recovery_result("*"), why="What became of a command."),
        asks(
            f"DIRECT.GET.{OPS.name}.{subjects.recovery_result('*')}",
            f"STREAM.MSG.GET.{OPS.name}",
            f"STREAM.INFO.{OPS.name}",
            why="Whether a command has its result.",
        ),
        reads(CONFIG, why="Revisions, the pause, its own record."),
        writes(
            CONFIG, "recovery.operator", "runtime.>", why="Its own record, and revisions that it was ordered to set."
        ),
        purges(CONFIG, why="Revisions that are too old."),
        publishes(subjects.CONFIG_CHANGES, why="What it changed."),
        asks(f"STREAM.INFO.{stream_of(LEASES)}", why="Since when there are leases: tokens of another system are void."),
        asks(
            *(f"CONSUMER.INFO.{each.stream.name}.{each.durable}" for each in CONSUMERS),
            why="How the queues stood, for the evidence.",
        ),
        purges(CACHE, why="Clearing what is remembered."),
        publishes(subjects.CACHE_CONTROL, why="That a cache was cleared."),
        hears(subjects.CACHE_CONTROL, why="That a cache was cleared elsewhere."),
    ),
)

"""The observer: sees the fleet and the broker, decides, gives commands. It reads no document and no answer."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import (
    ADVISORIES,
    ALERTS,
    CONFIG,
    CONSUMERS,
    LEASES,
    OPS,
    SILENCES,
    STREAMS,
    Retention,
)
from deploy.nats.grants import answers, asks, hears, publishes, purges, reads, worker, writes
from deploy.nats.user import User
from deploy.nats.users.shared import CONFIGURED, leading

_QUEUES = tuple(stream for stream in STREAMS if stream.retention is Retention.WORK_QUEUE)
_FOLLOWED = tuple(dict.fromkeys((*(each.stream for each in CONSUMERS), *_QUEUES)))

OBSERVER = User(
    name="observer",
    why="Watches and decides. The only one that gives recovery commands.",
    grants=(
        *worker("observer"),
        hears(
            subjects.health("*", "*"),
            subjects.metrics("*", "*"),
            f"{subjects.EVENTS}.>",
            *ADVISORIES.subjects,
            why="What the fleet tells of itself and of its work.",
        ),
        asks(
            "INFO",
            *(f"STREAM.INFO.{stream.name}" for stream in STREAMS),
            *(f"CONSUMER.INFO.{each.stream.name}.{each.durable}" for each in CONSUMERS),
            why="How full streams are, and how far consumers.",
        ),
        reads(*_FOLLOWED, why="How old the oldest message is, and which nobody will be given any more."),
        *leading("*"),
        reads(ALERTS, SILENCES, why="Alerts, diagnoses, silences."),
        writes(ALERTS, why="Alerts, diagnoses, who was told."),
        purges(ALERTS, SILENCES, why="Alerts and silences that are long over."),
        hears(f"$KV.{SILENCES.name}.*", why="Silences, as they are made."),
        *CONFIGURED,
        hears(
            f"$KV.{CONFIG.name}.rules.*",
            f"$KV.{CONFIG.name}.recovery.pause",
            why="Rules and pauses that people write.",
        ),
        reads(OPS, why="What was decided, ordered, done and told before."),
        publishes(f"{subjects.ALERTS}.*.*", f"{subjects.NOTIFICATIONS}.*", why="Alerts, and who was told."),
        publishes(f"{subjects.RECOVERY_COMMANDS}.>", why="Commands to the operator, signed."),
        publishes(
            subjects.recovery_decision("*"),
            subjects.recovery_verification("*"),
            why="What it decided, and whether that helped.",
        ),
        hears(f"{subjects.RECOVERY}.>", why="Approvals, and results of commands."),
        publishes(subjects.ENDPOINT_REPORTS, why="How the endpoints of models do."),
        hears(f"{subjects.OBSERVER_REQUESTS}.*", why="Questions about the fleet."),
        answers("gateway", "admin", why="Answers about the fleet."),
        reads(LEASES, why="Since when there are leases: tokens of another system are void."),
    ),
)

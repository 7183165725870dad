"""Channels by which people and programs are told how the fleet is, and by which it is repaired: all in the stream OPS."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.alerts import AlertEvent
from contracts.audit import AdminAct
from contracts.channel import Channel
from contracts.notifications import NotificationEvent
from contracts.recovery import (
    RecoveryApproval,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
)
from contracts.runtime_config import ConfigChanged

OPERATIONS: tuple[Channel, ...] = (
    Channel(
        name="alerts",
        address=subjects.ALERTS + ".{severity}.{alertname}",
        messages=(AlertEvent,),
        senders=("observer",),
        receivers=("client",),
        stream=topology.OPS,
        summary="An alert began to fire, or is over.",
    ),
    Channel(
        name="notifications",
        address=subjects.NOTIFICATIONS + ".{channel}",
        messages=(NotificationEvent,),
        senders=("observer",),
        receivers=("client",),
        stream=topology.OPS,
        summary="Somebody was told of alerts, or could not be.",
    ),
    Channel(
        name="recoveryCommands",
        address=subjects.RECOVERY_COMMANDS + ".{target}",
        messages=(RecoveryCommand,),
        senders=("observer",),
        receivers=("operator",),
        stream=topology.OPS,
        summary="Act upon one target: signed, fenced, and good for seconds.",
    ),
    Channel(
        name="recoveryResults",
        address=subjects.RECOVERY + ".results.{command}",
        messages=(RecoveryResult,),
        senders=("operator",),
        receivers=("observer", "client"),
        stream=topology.OPS,
        summary="What became of a command.",
    ),
    Channel(
        name="recoveryDecisions",
        address=subjects.RECOVERY + ".decisions.{incident}",
        messages=(RecoveryDecision,),
        senders=("observer",),
        receivers=("client",),
        stream=topology.OPS,
        summary="What was decided about an action and why, also that nothing is done.",
    ),
    Channel(
        name="recoveryVerifications",
        address=subjects.RECOVERY + ".verifications.{incident}",
        messages=(RecoveryVerification,),
        senders=("observer",),
        receivers=("client",),
        stream=topology.OPS,
        summary="Whether it helped.",
    ),
    Channel(
        name="recoveryApprovals",
        address=subjects.RECOVERY + ".approvals.{decision}",
        messages=(RecoveryApproval,),
        senders=("gateway",),
        receivers=("observer",),
        stream=topology.OPS,
        summary="A person says yes or no to what waits for one.",
    ),
    Channel(
        name="configChanges",
        address=subjects.CONFIG_CHANGES,
        messages=(ConfigChanged,),
        senders=("gateway", "operator"),
        receivers=("client",),
        stream=topology.OPS,
        summary="The runtime configuration has a new revision: who changed what, when and why.",
    ),
    Channel(
        name="audit",
        address=subjects.AUDIT + ".{kind}.{act}",
        messages=(AdminAct,),
        senders=("gateway", "client"),
        receivers=("client",),
        stream=topology.OPS,
        summary="Somebody who runs the system is about to do something, and, once more, what came of it.",
    ),
)

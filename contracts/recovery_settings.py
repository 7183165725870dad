"""Settings of recovery: the key that its commands are signed with."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.settings_source import Settings


class PolicySettings(Settings):
    """What the observer decides by."""

    recovery_policy: Path | None = Field(
        default=None,
        description="File of the policy of repairs: which cause is met with which actions, and how far they go by themselves. "
        "Unset, the shipped one.",
        examples=["/etc/waggle/recovery.yaml"],
    )


class RecoverySettings(Settings):
    """What the observer signs commands with, and the operator tells by that they are the observer's."""

    recovery_key_file: Path | None = Field(
        default=None,
        description="File of the key that recovery commands are signed with: at least 32 bytes, readable by its owner alone "
        "(mode 0600). `waggle up` makes one in the data folder.",
        examples=["/etc/waggle/recovery.key"],
    )

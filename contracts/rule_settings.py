"""Settings of rules: where they are, and how often they are evaluated."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from contracts.settings_source import Settings


class RuleSettings(Settings):
    """What is worth an alert."""

    rules: str = Field(
        default="",
        description="Files and folders of rules beside those that Waggle comes with, comma separated.",
        examples=["/etc/waggle/rules,/etc/waggle/more.yaml"],
    )
    shipped_rules: bool = Field(
        default=True, description="Whether the rules that Waggle comes with are evaluated.", examples=["off"]
    )
    rule_interval_s: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        description="How often rules are evaluated whose group does not say it, in seconds.",
        examples=[15],
    )

    @property
    def rule_paths(self) -> tuple[Path, ...]:
        return tuple(Path(part.strip()) for part in self.rules.split(",") if part.strip())

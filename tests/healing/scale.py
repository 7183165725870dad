"""The times of a campaign: scaled down so that a fault costs a minute, or as in production."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.settings import AllSettings

POLICY: Final = Path(__file__).parent / "policy.yaml"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """`policy`: None is the shipped one. `settled_s`: how long a new stack is left alone, so that it is no rollout any more."""

    policy: Path | None = POLICY
    drain_timeout_s: float = 3.0
    stuck_after_s: float = 8.0
    settled_s: float = 8.0
    verified_s: float = 60.0
    """How long it may take until it is known whether an action helped."""
    returned_s: float = 180.0
    """How long it may take until what was done for a while is taken back."""

    @property
    def environment(self) -> Mapping[str, str]:
        policy = {} if self.policy is None else {"WAGGLE_RECOVERY_POLICY": str(self.policy)}
        return {
            "WAGGLE_DRAIN_TIMEOUT_S": f"{self.drain_timeout_s:g}",
            "WAGGLE_STUCK_AFTER_S": f"{self.stuck_after_s:g}",
            **policy,
        }


SCALED: Final = Scale()
PRODUCTION: Final = Scale(
    policy=None,
    drain_timeout_s=float(AllSettings.model_fields["drain_timeout_s"].default),
    settled_s=45.0,
    verified_s=180.0,
    returned_s=2400.0,
)
"""Only how long a handler may take is scaled: an hour and more cannot be waited for."""

"""What a pool of endpoints is for: how its errors name the settings, and its figures the work."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import ErrorCode


@dataclass(frozen=True, kw_only=True)
class Purpose:
    """`variables` is how the settings of these endpoints begin: WAGGLE_GENERATOR for WAGGLE_GENERATOR_ENDPOINTS, ….

    `operation` is the work's name in the GenAI semantic conventions (`chat`, `embeddings`); `route` is what it is asked
    at; `code` goes with the errors. `addresses` says of which form an address is; `too_long` what to do about a text that
    the model does not hold, where there is no setting for how much that is.
    """

    variables: str
    operation: str
    route: str
    model: str
    code: ErrorCode
    addresses: str = "an address ends in /v1 as a rule"
    too_long: str = ""

    def setting(self, name: str) -> str:
        """The environment variable of one setting of these endpoints."""
        return f"{self.variables}_{name}"

    @property
    def check_addresses(self) -> str:
        """What to do about an address at which somebody else answers."""
        return f"check {self.setting('ENDPOINTS')}, {self.addresses}"

    @property
    def shorten(self) -> str:
        """What to do about a text that is too long."""
        return self.too_long or f"lower {self.setting('CONTEXT_TOKENS')} to what the model holds"


@dataclass(frozen=True, kw_only=True)
class TimeLimit:
    """A time to wait, and the variable that sets it."""

    seconds: float
    setting: str

    def __str__(self) -> str:
        return f"{self.seconds:g} s ({self.setting})"

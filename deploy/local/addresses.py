"""Where a stack is reached, and the file that tells the other commands."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Self

from deploy.local.layout import Layout
from deploy.local.supervision import Supervisor


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Where a stack listens. `nats_port` is None when it uses the broker of somebody else."""

    host: str
    gateway_port: int
    nats_url: str
    nats_port: int | None

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.gateway_port}"


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    """What `stack.json` says about the stack of a data folder."""

    url: str
    nats_url: str
    expected: Mapping[str, int]
    slots: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The programs that there are of each service, in their order, started or not; the broker is none of them."""
    host_prefix: str = ""
    """What stands before a program's name in the id of its instance."""
    own_users: bool = False
    """Whether the broker is the stack's own and lets in its users only: see `deploy.local.access`."""

    @classmethod
    def read(cls, layout: Layout) -> Self | None:
        """The stack that runs in this folder, None when none does."""
        if not layout.state.exists() or not Supervisor(layout).answers():
            return None
        try:
            return cls(**json.loads(layout.state.read_text(encoding="utf-8")))
        except (FileNotFoundError, json.JSONDecodeError, TypeError):  # just stopped, or written by another release
            return None

    def write(self, layout: Layout) -> None:
        """In one go: others read it while it is changed."""
        written = layout.state.with_suffix(".new")
        written.write_text(json.dumps(asdict(self)), encoding="utf-8")
        written.replace(layout.state)

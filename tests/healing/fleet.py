"""The processes of a local stack, some of which can be broken from inside or reach the broker over a link of their own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.local.programs import Fleet, Program
from tests.faults.plans import FOLDER_VARIABLE
from tests.faults.scale import PRODUCTION_VARIABLE
from tests.faults.worker import GATEWAY, MANNERS_VARIABLE

BREAKABLE = frozenset({"ingest", "embed", "retrieve", "generate", "keeper", GATEWAY})
"""Observer and operator run as they are: they judge and act."""
OBSERVER = "observer"
MANNERS = {"embed": "fragile_index", "retrieve": "fragile_index"}


@dataclass(frozen=True, kw_only=True)
class BreakableFleet(Fleet):
    """`folder` is that of switches and plans; `links` are addresses of the broker by instance; `hasty` observers know a leak early."""

    folder: Path
    hasty: bool = False
    links: Mapping[str, str] = field(default_factory=dict)

    def _waggle(
        self, name: str, service: str, arguments: tuple[str, ...], *, stop_wait_s: float, spare: bool = False
    ) -> Program:
        program = super()._waggle(name, service, arguments, stop_wait_s=stop_wait_s, spare=spare)
        link = {"WAGGLE_NATS_URL": self.links[name]} if name in self.links else {}
        if service == OBSERVER and self.hasty:
            link = {**link, **program.environment}
            return replace(
                program, command=(sys.executable, "-m", "tests.healing.hasty_observer", *arguments), environment=link
            )
        if service not in BREAKABLE:
            return replace(program, environment={**program.environment, **link})
        return replace(
            program,
            command=(sys.executable, "-m", "tests.healing.worker", service),
            environment={
                **program.environment,
                **link,
                FOLDER_VARIABLE: str(self.folder),
                MANNERS_VARIABLE: MANNERS.get(service, ""),
                PRODUCTION_VARIABLE: "1",
            },
        )

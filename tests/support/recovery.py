"""Commands of recovery, and an operator that carries them out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from contracts.diagnoses import RecommendedAction
from contracts.identifiers import new_id
from contracts.platforms import Platform
from contracts.recovery import TARGET_OF, RecoveryCommand, Target, TargetKind
from contracts.settings import OperatorSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.recovery import RecoveryKey
from tests.support.workers import running
from workers.operator.worker import build

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = RecoveryKey(SECRET)


def key_file(folder: Path) -> Path:
    file = folder / "recovery.key"
    file.write_bytes(SECRET)
    file.chmod(0o600)
    return file


def command(
    action: RecommendedAction, name: str, service: str, *, now: datetime, expires_s: float = 60, **fields: Any
) -> RecoveryCommand:
    """Not signed yet, and resting on evidence of now."""
    given = {
        "id": new_id(),
        "decision": "decision-1",
        "incident": "incident-1",
        "action": action,
        "target": Target(kind=TARGET_OF.get(action, TargetKind.SERVICE), name=name, service=service),
        "reason": "a test",
        "token": 7,
        "expires_at": now + timedelta(seconds=expires_s),
        "evidence_at": now,
    }
    return RecoveryCommand(**{**given, **fields})


@asynccontextmanager
async def operating(
    nats_url: str,
    folder: Path,
    platform: Platform | None,
    *,
    table: Topology,
    instance: str = "operator-1",
    listen_s: float = 0.0,
    **settings: Any,
) -> AsyncIterator[WorkerApp]:
    """Run an operator; it is stopped in order at the end."""
    given = {
        "nats_url": nats_url,
        "instance": instance,
        "recovery_key_file": key_file(folder),
        "data_dir": folder / "data",
        "drain_timeout_s": 0.5,
    }
    app = build(OperatorSettings(**{**given, **settings}), platform=platform, table=table, listen_s=listen_s)
    async with running(app):
        yield app

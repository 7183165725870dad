"""A whole Waggle on free ports with a data folder of its own, started and stopped by the command itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

START_TIMEOUT_S = 180.0


@dataclass(frozen=True, kw_only=True)
class RunningStack:
    """Where a stack is to be reached, and how long it took to be ready."""

    url: str
    nats_url: str
    ready_s: float
    data_dir: Path
    environment: Mapping[str, str] = field(repr=False)
    """Of its commands."""

    def key(self, tenant: str) -> str:
        """A new key of this tenant that may ask, submit and read; for a stack that asks for keys."""
        scopes = [f"--scope={scope}" for scope in ("query", "ingest", "read")]
        command = ["keys", "create", "benchmark", f"--tenant={tenant}", *scopes, "--json"]
        secret: str = json.loads(_waggle(command, self.environment))["secret"]
        return secret


@contextmanager
def running(
    *, replicas: Mapping[str, int] | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[RunningStack]:
    """`waggle up --detach`, then `waggle down`. `settings` are further `WAGGLE_` variables.

    Unless they say otherwise nothing is cached: what is measured is asked again and again.
    """
    with TemporaryDirectory(prefix="waggle-bench-") as folder:
        environment = _environment(folder, settings or {})
        options = [f"--replicas={service}={count}" for service, count in (replicas or {}).items()]
        started = _waggle(["up", "--detach", "--json", "--port", "0", "--nats-port", "0", *options], environment)
        try:
            facts = json.loads(started)
            yield RunningStack(
                url=facts["url"],
                nats_url=facts["nats_url"],
                ready_s=facts["ready_s"],
                data_dir=Path(folder),
                environment=environment,
            )
        finally:
            _waggle(["down"], environment)


def _environment(data_dir: str, settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAGGLE_")}
    return {**inherited, "WAGGLE_DATA_DIR": data_dir, "WAGGLE_AUTH": "development", "WAGGLE_CACHE": "off", **settings}


def _waggle(arguments: list[str], environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "cli", *arguments]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"waggle {arguments[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout

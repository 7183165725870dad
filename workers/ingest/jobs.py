"""What passes between the ingest worker and its parser process: jobs one way, how they ended the other."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from workers.ingest.confinement import Limits
from workers.ingest.cutting import Cutting

MESSAGE_BYTES = 64 * 1024
OUT_OF_MEMORY = 86
"""Exit status of a child that was refused memory and noticed."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """The first message of a parser process: it is ready, and how far it could be confined."""

    reaches_network: bool

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Started:
        return cls(**json.loads(data))


@dataclass(frozen=True, kw_only=True)
class Job:
    """Read one file. Two file descriptors travel with it: the file, and where the result is to be written."""

    number: int
    name: str
    cutting: Cutting
    limits: Limits

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Job:
        fields = json.loads(data)
        return cls(
            number=fields["number"],
            name=fields["name"],
            cutting=Cutting(**fields["cutting"]),
            limits=Limits(**fields["limits"]),
        )


@dataclass(frozen=True, kw_only=True)
class Withdrawal:
    """Nobody waits for this job any more: its child is to be killed. Comes without file descriptors."""

    number: int

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Withdrawal:
        return cls(**json.loads(data))


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How the child of a job ended: `status` as `os.waitstatus_to_exitcode` gives it, negative for a signal."""

    number: int
    status: int
    timed_out: bool
    peak_bytes: int

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Ended:
        return cls(**json.loads(data))

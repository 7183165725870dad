"""What a look at one thing came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`advice` says what to do; empty when all is well."""

    check: str
    level: Level
    detail: str
    advice: str = ""


def ok(check: str, detail: str) -> Finding:
    return Finding(check=check, level=Level.OK, detail=detail)


def warn(check: str, detail: str, advice: str) -> Finding:
    return Finding(check=check, level=Level.WARN, detail=detail, advice=advice)


def fail(check: str, detail: str, advice: str) -> Finding:
    return Finding(check=check, level=Level.FAIL, detail=detail, advice=advice)

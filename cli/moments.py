"""Times and durations as people give them to commands, and as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cli.exits import CommandError, Exit
from observability.notifications.configuration.durations import parse_duration


def duration_of(text: str, option: str) -> timedelta:
    """90m, 2h, 1d. Raises `CommandError` for what is none."""
    try:
        found = parse_duration(text)
    except ValueError as error:
        raise CommandError(f"{option}: {error}", code=Exit.USAGE) from error
    if not found:
        raise CommandError(f"{option}: it has to be longer than nothing", code=Exit.USAGE)
    return found


def moment_of(text: str, option: str) -> datetime:
    """An ISO 8601 time; without a zone it is this host's. Raises `CommandError` for what is none."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        hint = "Give it like 2026-01-31T18:00, or with a zone like 2026-01-31T18:00Z."
        raise CommandError(f"{option}: {text!r} is not a time", hint=hint, code=Exit.USAGE) from error


def end_of(lasting: str | None, until: str | None) -> datetime | None:
    """When it ends by `--for` or `--until`; None where neither is given. Raises `CommandError` for both, and for what is no time."""
    if lasting is not None and until is not None:
        raise CommandError("--for and --until say the same: choose one", code=Exit.USAGE)
    if until is not None:
        return moment_of(until, "--until")
    return None if lasting is None else datetime.now(UTC) + duration_of(lasting, "--for")


def beginning_of(text: str, option: str, *, end: datetime | None = None) -> datetime:
    """A time, or how long before the end (now) it was. Raises `CommandError` for what is neither."""
    if "-" in text:
        return moment_of(text, option)
    try:
        return (end or datetime.now(UTC)) - duration_of(text, option)
    except CommandError as error:
        hint = "Give a duration like 90m, 2h or 7d, or a time like 2026-01-31T18:00."
        raise CommandError(error.message, hint=hint, code=Exit.USAGE) from error


def shown(moment: datetime | None) -> str:
    """In this host's zone, to the second."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")

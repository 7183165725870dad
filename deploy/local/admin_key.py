"""The API key of this host: made once, so that commands here work where the gateway asks for one."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path

import structlog

from contracts.api_keys import Scope
from contracts.identifiers import DEFAULT_TENANT
from messaging.api_keys import KeyBook, id_of, over
from messaging.broker import Broker

NAME = "commands on this host"

log = structlog.get_logger(__name__)


def read_key(file: Path) -> str | None:
    """The key; None: there is none, or it may not be read."""
    try:
        return file.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


async def ensure_key(broker: Broker, file: Path) -> None:
    """Have an admin key that is in force in this file, which its owner alone may read. Raises `OSError`."""
    book, known = KeyBook(broker), id_of(read_key(file) or "")
    key = None if known is None else await book.get(known)
    if key is not None and over(key, broker.clock.now()) is None:
        return
    made = await book.create(
        name=NAME, tenant=DEFAULT_TENANT, scopes=[Scope.ADMIN], principal=f"host:{getpass.getuser()}"
    )
    _write(file, made.text)
    log.info("made an admin key for commands on this host", file=str(file), key=made.key.id)


def _write(file: Path, text: str) -> None:
    """Whole from its first moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as written:  # mode 0600
        written.write(f"{text}\n".encode())
        written.flush()
        os.fsync(written.fileno())
    Path(written.name).replace(file)

"""Who may order a repair: whoever has the key.

A command is signed with HMAC-SHA-256 (RFC 2104) over its canonical JSON: all fields but `signature`, keys sorted, no white
space, UTF-8.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final, Self

from contracts.recovery import RecoveryCommand
from contracts.settings_source import ConfigurationError

LEAST_KEY_BYTES: Final = 32
MOST_KEY_BYTES: Final = 4096

_HOW_TO_MAKE: Final = "(umask 077; head -c 32 /dev/urandom > FILE)"


class RecoveryKey:
    """A shared secret. It is never shown."""

    def __init__(self, secret: bytes) -> None:
        """Raises `ConfigurationError` for less than 32 bytes."""
        if len(secret) < LEAST_KEY_BYTES:
            raise ConfigurationError(
                f"A recovery key of {len(secret)} bytes is too short, it needs {LEAST_KEY_BYTES}: make one with "
                f"`{_HOW_TO_MAKE}`."
            )
        self._secret = secret

    @classmethod
    def read(cls, file: Path | None) -> Self:
        """The key in the file that `WAGGLE_RECOVERY_KEY_FILE` names; others than its owner may have no right to it.

        Raises `ConfigurationError` when there is none, or it will not do.
        """
        if file is None:
            raise ConfigurationError(
                f"WAGGLE_RECOVERY_KEY_FILE is not set, so no command could be trusted: make a key with `{_HOW_TO_MAKE}`, and "
                "give the file to observer and operator."
            )
        try:
            with file.open("rb") as opened:
                mode = os.fstat(opened.fileno()).st_mode
                secret = opened.read(MOST_KEY_BYTES)
        except OSError as error:
            raise ConfigurationError(
                f"WAGGLE_RECOVERY_KEY_FILE={file} cannot be read ({error.strerror}): make it with `{_HOW_TO_MAKE}`."
            ) from error
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigurationError(
                f"WAGGLE_RECOVERY_KEY_FILE={file} has mode {stat.S_IMODE(mode):04o}, so that others may have read the key: "
                f"make a new one with `{_HOW_TO_MAKE}`."
            )
        return cls(secret)

    def sign(self, command: RecoveryCommand) -> RecoveryCommand:
        """The command with its signature."""
        return command.model_copy(update={"signature": self._mac(command)})

    def signed(self, command: RecoveryCommand) -> bool:
        """Whether the command carries the signature of this key. Takes as long for a wrong one as for a right one."""
        return command.signature is not None and hmac.compare_digest(command.signature, self._mac(command))

    def _mac(self, command: RecoveryCommand) -> str:
        return hmac.new(self._secret, canonical(command), hashlib.sha256).hexdigest()


def canonical(command: RecoveryCommand) -> bytes:
    """What is signed: the same bytes for the same command, whoever writes them."""
    fields = command.model_dump(mode="json", exclude={"signature"})
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def make_key(file: Path) -> None:
    """Make a key unless the file is there, whole from its first moment, for its owner alone. Raises `OSError`."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent) as written:  # mode 0600
        written.write(secrets.token_bytes(LEAST_KEY_BYTES))
        written.flush()
        os.fsync(written.fileno())
        try:
            os.link(written.name, file)
        except FileExistsError:  # somebody else made one at the same moment
            return

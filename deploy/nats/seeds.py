"""The NKey seeds of users, one file for each, and the public keys that belong to them.

A seed is what a process shows to be let in; the server knows public keys only.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nkeys

from contracts.settings_source import ConfigurationError
from deploy.nats.user import User
from deploy.nats.users import asker

SUFFIX = ".nk"
_SEED_BYTES = 32
_ASKERS = asker("x").name.removesuffix("x")


class Seeds:
    """The seeds in one folder. Whoever may read a file of it is that user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, user: str) -> Path:
        """Where a user's seed is or would be: `WAGGLE_NATS_NKEY_SEED`."""
        return self.folder / f"{user}{SUFFIX}"

    def ensure(self, users: Iterable[User]) -> list[Path]:
        """Make the seeds that are not there; those that are stay as they are. Returns the files that were made.

        Raises `ConfigurationError` when that cannot be.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            missing = [file for user in users if not (file := self.file(user.name)).exists()]
            for file in missing:
                _write(file, nkeys.encode_seed(os.urandom(_SEED_BYTES), nkeys.PREFIX_BYTE_USER))
        except OSError as error:
            raise ConfigurationError(
                f"The seeds of the broker's users cannot be kept in {self.folder} ({error.strerror}): name a folder of yours."
            ) from error
        return missing

    def public_key(self, user: str) -> str:
        """Raises `ConfigurationError` for a file that is not there, cannot be read, or is no seed of a user."""
        file = self.file(user)
        try:
            seed = bytearray(file.read_bytes().strip())
            key = str(nkeys.from_seed(seed).public_key.decode())
        except OSError as error:
            raise ConfigurationError(f"The seed {file} cannot be read: {error.strerror}.") from error
        except (nkeys.NkeysError, ValueError) as error:
            raise ConfigurationError(_spoilt(file)) from error
        if not key.startswith("U"):
            raise ConfigurationError(_spoilt(file))
        return key

    def tenants(self) -> list[str]:
        """Whose programs have seeds here."""
        files = self.folder.glob(f"{_ASKERS}*{SUFFIX}")
        return sorted(file.name.removeprefix(_ASKERS).removesuffix(SUFFIX) for file in files)


def _spoilt(file: Path) -> str:
    return f"{file} is no seed of a user: remove it, and `waggle nats config` makes another, for which the server is to be told"


def _write(file: Path, seed: bytes) -> None:
    """Whole from its first moment, mode 0600; one that somebody else writes at the same moment stays."""
    with tempfile.NamedTemporaryFile(dir=file.parent) as written:
        written.write(seed)
        written.flush()
        os.fsync(written.fileno())
        try:
            os.link(written.name, file)
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise

"""The contract as files: what `make docs` writes and what the tests hold the code against.

`asyncapi.json` describes this release. `<Message>.v<version>.json` is the shape of a message version, written once; a
class whose shape differs from the file of its version must raise the version.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from contracts.asyncapi import document
from contracts.channels import CHANNELS
from contracts.compatibility import differences, shape
from contracts.message import Message

ASYNCAPI_FILE = "asyncapi.json"


class IncompatibleContractError(Exception):
    """A message changed its shape without raising its version."""


@dataclass(frozen=True, kw_only=True)
class Snapshots:
    """The snapshot files of a folder."""

    folder: Path

    def write(self, messages: Iterable[type[Message]]) -> None:
        """Write all files. Raises `IncompatibleContractError` and writes nothing when a recorded version changed."""
        messages = tuple(messages)
        for message in messages:
            self.check(message)
        self.folder.mkdir(parents=True, exist_ok=True)
        for message in messages:
            self._file(message).write_text(_dump(shape(message)), encoding="utf-8")
        (self.folder / ASYNCAPI_FILE).write_text(_dump(asyncapi()), encoding="utf-8")

    def check(self, message: type[Message]) -> None:
        """Raise `IncompatibleContractError` when `message` differs from the recorded shape of its version."""
        file = self._file(message)
        if not file.exists():
            return
        found = differences(json.loads(file.read_text(encoding="utf-8")), shape(message))
        if found:
            raise IncompatibleContractError(
                f"{message.__name__} changed but is still version {message.VERSION}; raise VERSION and the default of "
                f"schema_version to {message.VERSION + 1}, or take the change back:\n  " + "\n  ".join(found)
            )

    def recorded(self, message: type[Message]) -> bool:
        return self._file(message).exists()

    def _file(self, message: type[Message]) -> Path:
        return self.folder / f"{message.__name__}.v{message.VERSION}.json"


def travelling_messages() -> tuple[type[Message], ...]:
    """Every message class of the message API, by name."""
    return tuple(sorted({m for c in CHANNELS for m in c.messages}, key=lambda m: m.__name__))


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document of the installed release."""
    return document(metadata.version("waggle-rag"))


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the contract snapshots.")
    parser.add_argument("folder", type=Path)
    try:
        Snapshots(folder=parser.parse_args().folder).write(travelling_messages())
    except IncompatibleContractError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

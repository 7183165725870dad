"""Files of rules on disk, looked at again and again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from observability.rules import Fault, RuleFileError

SUFFIXES: Final = (".yaml", ".yml")
MOST_BYTES: Final = 4 * 1024 * 1024
MOST_FILES: Final = 1_000
"""Of one folder."""

Text = str | RuleFileError
"""A file as it is, or why it cannot be read."""


class RuleFiles:
    """Files and folders of rules; of a folder the YAML files in it, not those in folders below.

    Files are called by their names in the folder, after what the folder is called: an installation elsewhere is to be taken
    for the same rules. A file that is missing counts as gone when it is missing twice, since editors and deployments take
    files away for a moment; what is named here, and is not there or cannot be read, is unreadable, not gone.
    """

    def __init__(self, places: Sequence[tuple[str, Path]]) -> None:
        """`places` are what each is called, and where it is."""
        self._places = tuple(places)
        self._known: dict[str, Text] = {}
        self._missing: set[str] = set()

    def read(self) -> dict[str, Text]:
        """Every file by name. Blocks."""
        found: dict[str, Text] = {}
        for called, path in self._places:
            found |= self._of(called, path)
        missing = self._known.keys() - found.keys()
        found |= {name: self._known[name] for name in missing - self._missing}
        self._known, self._missing = found, missing
        return dict(found)

    def _of(self, called: str, path: Path) -> dict[str, Text]:
        try:
            if path.is_file():
                return {called: _text(called, path)}
            files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
        except OSError as error:
            return self._unread(called, _unreadable(called, error))
        if len(files) > MOST_FILES:
            return self._unread(called, RuleFileError([Fault(called, 1, f"holds more than {MOST_FILES} files")]))
        return {f"{called}/{file.name}": _text(f"{called}/{file.name}", file) for file in files}

    def _unread(self, folder: str, why: RuleFileError) -> dict[str, Text]:
        return {folder: why, **{name: why for name in self._known if name.startswith(f"{folder}/")}}


def _text(called: str, file: Path) -> Text:
    try:
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            return RuleFileError([Fault(called, 1, f"larger than {MOST_BYTES // 1024 // 1024} MiB: split it")])
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        return _unreadable(called, error)


def _unreadable(called: str, error: OSError | UnicodeDecodeError) -> RuleFileError:
    reason = getattr(error, "strerror", None) or str(error)
    return RuleFileError([Fault(called, 1, f"cannot be read: {reason}")])

"""YAML as plain values that know their line, so that whatever is wrong with one can be said with its place."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64

Place = tuple[str | int, ...]


class YamlProblem(ValueError):  # noqa: N818 (it is what is wrong with a file, said to its author)
    """The text is no YAML that is read here; `line` counts from one."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class UnreadableFileError(ValueError):
    """The file cannot be read as text of a bounded size; the message says why, and begins with its name."""


@dataclass(frozen=True)
class Located:
    """A document: its values, and the line of each by its place, as `("route", "routes", 0, "receiver")`."""

    value: Any
    lines: dict[Place, int]

    def line_of(self, place: Sequence[str | int]) -> int:
        """The line of the value there, or of the innermost on the way to it. Steps that the text does not have are left out."""
        path: Place = ()
        for step in place:
            path = (*path, step) if (*path, step) in self.lines else path
        return self.lines.get(path, 1)


def text_of(file: Path) -> str:
    """What is in a file. Raises `UnreadableFileError`."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFileError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UnreadableFileError(f"{file} is larger than {MAX_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{file} is not text in UTF-8: {error.reason}") from error


def read_yaml(text: str) -> Located:
    """Read one document. Raises `YamlProblem`; also for a key that is given twice, and for aliases, which can make a
    small file large.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(mark.line + 1 if mark else 1, f"is not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise YamlProblem(1, f"is not YAML: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise YamlProblem(1, "is nested too deeply") from error
    reader = _Reader()
    return Located(value=reader.value(node, ()) if node is not None else None, lines=reader.lines)


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[Place, int] = {}
        self._seen: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, place: Place) -> Any:
        line = _line(node)
        self.lines.setdefault(place, line)
        if len(place) > MAX_DEPTH:
            raise YamlProblem(line, "is nested too deeply")
        if id(node) in self._seen:
            raise YamlProblem(line, "uses an alias: write out what it stands for")
        self._seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*place, number)) for number, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise YamlProblem(_line(key_node), "has a key that is no text: put it in quotes")
            if key in found:
                raise YamlProblem(_line(key_node), f"{key} is given twice")
            self.lines[*place, key] = _line(key_node)
            found[key] = self.value(value_node, (*place, key))
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else str(error)
            raise YamlProblem(_line(node), f"cannot be read: {reason}") from error


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1

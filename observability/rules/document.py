"""YAML files whose every value knows its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import yaml

from observability.rules.errors import Fault, RuleFileError

Path = tuple[str | int, ...]
"""Where in a document: keys and indexes."""
Value = str | list["Value"] | dict[str, "Value"]

MOST_BYTES: Final = 4 * 1024 * 1024
MOST_NODES: Final = 200_000
"""Counted with aliases followed: a few lines of YAML can stand for billions of nodes."""
DEEPEST: Final = 20
NULL_TAG: Final = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file: mappings, lists and scalars, which are all text; nulls are left out."""

    file: str
    content: Value
    lines: dict[Path, int]

    def line(self, path: Sequence[str | int]) -> int:
        """The line of what is at `path`, or of the nearest thing around it."""
        place = tuple(path)
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def fault(self, path: Sequence[str | int], reason: str) -> Fault:
        return Fault(self.file, self.line(path), reason)


def read(text: str, *, file: str) -> Document:
    """Raises `RuleFileError` with file and line for what is not YAML, repeats a key, or is unreasonably large."""
    if len(text) > MOST_BYTES:
        raise RuleFileError([Fault(file, 1, f"larger than {MOST_BYTES // 1024 // 1024} MiB: split it")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise RuleFileError([Fault(file, 1 if mark is None else mark.line + 1, f"no YAML: {error.problem}")]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise RuleFileError([Fault(file, 1, f"no YAML: {error}")]) from error
    reader = _Reader(file)
    content = {} if root is None else reader.value(root, ())
    return Document(file, {} if content is None else content, reader.lines)


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self._nodes = 0
        self.lines: dict[Path, int] = {}

    def value(self, node: yaml.Node, path: Path) -> Value | None:
        self._nodes += 1
        self.lines.setdefault(path, node.start_mark.line + 1)
        if self._nodes > MOST_NODES or len(path) > DEEPEST:
            raise self._fault(node, "too large or too deep once its aliases are followed")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            items = [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return ["" if item is None else item for item in items]
        return None if node.tag == NULL_TAG else self._scalar(node)

    def _scalar(self, node: yaml.Node) -> str:
        text = str(node.value)
        if not _is_text(text):
            raise self._fault(node, "an escape stands for half a character")
        return text

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Value:
        found: dict[str, Value] = {}
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._fault(key, "a key has to be text")
            name = str(key.value)
            if name in seen:
                raise self._fault(key, f"{name} is there twice")
            seen.add(name)
            if key.tag == "tag:yaml.org,2002:merge":
                raise self._fault(key, "the merge key << is not taken: write the fields out")
            self.lines[*path, name] = key.start_mark.line + 1
            content = self.value(value, (*path, name))
            if content is not None:
                found[name] = content
        return found

    def _fault(self, node: yaml.Node, reason: str) -> RuleFileError:
        return RuleFileError([Fault(self._file, node.start_mark.line + 1, reason)])


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: YAML's escapes can name lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

"""Prometheus rule files: read strictly, refused as a whole with file, line and reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import Field

from observability.promql import ExpressionError, Query
from observability.promql import parse as parse_expression
from observability.promql.labels import METRIC_NAME
from observability.rules import templates
from observability.rules.document import Document, read
from observability.rules.errors import Fault, RuleFileError
from observability.rules.models import AlertingRule, RecordingRule, Rule, RuleGroup
from observability.rules.templates import Template, TemplateError
from observability.rules.validation import DurationMs, StrictModel, validated

_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class RuleEntry(StrictModel):
    """A rule as the file has it."""

    record: str = ""
    alert: str = ""
    expr: str = ""
    for_: DurationMs = Field(0, alias="for")
    keep_firing_for: DurationMs = 0
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class GroupEntry(StrictModel):
    """A group as the file has it."""

    name: str = ""
    interval: DurationMs | None = None
    query_offset: DurationMs = 0
    limit: int = Field(0, ge=0)
    labels: dict[str, str] = Field(default_factory=dict)
    rules: tuple[RuleEntry, ...] = ()


class FileEntry(StrictModel):
    groups: tuple[GroupEntry, ...] = ()


def load(file: Path) -> list[RuleGroup]:
    """The groups of a file. Raises `RuleFileError`, also when it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RuleFileError([Fault(str(file), 1, f"cannot be read: {reason}")]) from error
    return parse(text, file=str(file))


def parse(text: str, *, file: str) -> list[RuleGroup]:
    """The groups in `text`. Raises `RuleFileError` with every fault: a file is taken as a whole or not at all."""
    document = read(text, file=file)
    return _Compiler(document).groups(validated(document, FileEntry))


class _Compiler:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._faults: list[Fault] = []

    def groups(self, entry: FileEntry) -> list[RuleGroup]:
        found: list[RuleGroup] = []
        for index, group in enumerate(entry.groups):
            place = ("groups", index)
            if not group.name:
                self._refuse(place, "a group needs a name")
            elif group.name in {other.name for other in found}:
                self._refuse((*place, "name"), f"the group {group.name} is there twice in this file")
            found.append(self._group(group, place))
        if self._faults:
            raise RuleFileError(self._faults)
        return found

    def _group(self, group: GroupEntry, place: tuple[str | int, ...]) -> RuleGroup:
        self._check_labels(group.labels, (*place, "labels"))
        rules = [
            self._rule(rule, group.labels | rule.labels, (*place, "rules", index))
            for index, rule in enumerate(group.rules)
        ]
        return RuleGroup(
            name=group.name,
            file=self._document.file,
            interval_ms=group.interval or None,
            query_offset_ms=group.query_offset,
            limit=group.limit,
            rules=tuple(rule for rule in rules if rule is not None),
        )

    def _rule(self, rule: RuleEntry, labels: Mapping[str, str], place: tuple[str | int, ...]) -> Rule | None:
        if bool(rule.record) == bool(rule.alert):
            self._refuse(place, "a rule needs either `record` or `alert`, and not both")
            return None
        self._check_labels(rule.labels, (*place, "labels"))
        query = self._query(rule.expr, place)
        made = self._alerting(rule, labels, query, place) if rule.alert else self._recording(rule, labels, query, place)
        return made if query is not None else None

    def _alerting(
        self, rule: RuleEntry, labels: Mapping[str, str], query: Query | None, place: tuple[str | int, ...]
    ) -> Rule | None:
        for name in rule.annotations:
            if not _LABEL.fullmatch(name):
                self._refuse((*place, "annotations", name), f"{name!r} is no name for an annotation")
        filled = self._templates(labels, (*place, "labels"))
        annotations = self._templates(rule.annotations, (*place, "annotations"))
        if query is None:
            return None
        return AlertingRule(
            name=rule.alert,
            query=query,
            hold_ms=rule.for_,
            keep_firing_ms=rule.keep_firing_for,
            labels=filled,
            annotations=annotations,
            line=self._document.line(place),
        )

    def _recording(
        self, rule: RuleEntry, labels: Mapping[str, str], query: Query | None, place: tuple[str | int, ...]
    ) -> Rule | None:
        given = {"for": rule.for_, "keep_firing_for": rule.keep_firing_for, "annotations": rule.annotations}
        for name, value in given.items():
            if value:
                self._refuse((*place, name), f"{name} has no meaning in a recording rule")
        if not _METRIC.fullmatch(rule.record):
            self._refuse((*place, "record"), f"{rule.record!r} is no name for a metric")
        if query is None:
            return None
        return RecordingRule(name=rule.record, query=query, labels=dict(labels), line=self._document.line(place))

    def _query(self, expression: str, place: tuple[str | int, ...]) -> Query | None:
        if not expression.strip():
            self._refuse(place, "a rule needs an expression: `expr`")
            return None
        try:
            return parse_expression(expression)
        except ExpressionError as error:
            self._refuse((*place, "expr"), str(error))
            return None

    def _templates(self, texts: Mapping[str, str], place: tuple[str | int, ...]) -> dict[str, Template]:
        parsed: dict[str, Template] = {}
        for name, text in texts.items():
            try:
                parsed[name] = templates.parse(text)
            except TemplateError as error:
                self._refuse((*place, name), f"{name}: {error}")
        return parsed

    def _check_labels(self, labels: Mapping[str, str], place: tuple[str | int, ...]) -> None:
        for name in labels:
            if not _LABEL.fullmatch(name) or name == METRIC_NAME:
                self._refuse((*place, name), f"{name!r} is no name for a label")

    def _refuse(self, place: Sequence[str | int], reason: str) -> None:
        self._faults.append(self._document.fault(place, reason))

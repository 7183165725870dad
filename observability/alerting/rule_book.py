"""The rules that are in force, whatever becomes of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from observability.alerting.metrics import RuleMetrics
from observability.alerting.rule_files import Text
from observability.rules import Fault, RuleFileError, RuleGroup, parse

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """A file: as it was seen last, the groups in force, which may be those it had before, and why it was refused, if so."""

    seen: str | None
    groups: tuple[RuleGroup, ...]
    refusal: RuleFileError | None = None


class RuleBook:
    """Takes files and texts of rules, each as a whole or not at all: where one is refused, what it held before goes on.

    Groups of a file that has not changed are the same objects as before.
    """

    def __init__(self, metrics: RuleMetrics | None = None) -> None:
        self._pages: dict[str, _Page] = {}
        self._metrics = metrics or RuleMetrics()

    @property
    def groups(self) -> tuple[RuleGroup, ...]:
        """All groups in force, by file."""
        return tuple(group for _, page in sorted(self._pages.items()) for group in page.groups)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with the files that were refused."""
        return tuple(
            dict.fromkeys(fault for page in self._pages.values() if page.refusal for fault in page.refusal.faults)
        )

    @property
    def successful(self) -> bool:
        """Whether every file is in force as it is now. Groups that are not there are then really not wanted any more."""
        return not self.faults

    def take(self, texts: Mapping[str, Text]) -> bool:
        """Take all files and texts that there are now, by name. Whether the groups in force are others than before."""
        before = self.groups
        self._pages = {name: self._page(name, text) for name, text in texts.items()}
        self._metrics.reloaded(successful=self.successful)
        after = self.groups
        return len(before) != len(after) or any(a is not b for a, b in zip(before, after, strict=True))

    def _page(self, name: str, text: Text) -> _Page:
        known = self._pages.get(name, _Page(None, ()))
        if isinstance(text, RuleFileError):
            return self._refused(name, known, text, seen=None)
        if text == known.seen:
            return known
        try:
            groups = tuple(parse(text, file=name))
        except RuleFileError as error:
            return self._refused(name, known, error, seen=text)
        except Exception as error:
            # A defect of ours: one text is not to take all the others along.
            log.exception("rules cannot be read", file=name)
            refusal = RuleFileError([Fault(name, 1, f"cannot be read: {type(error).__name__}")])
            return self._refused(name, known, refusal, seen=text)
        log.info("rules taken", file=name, groups=len(groups), rules=sum(len(group.rules) for group in groups))
        return _Page(text, groups)

    def _refused(self, name: str, known: _Page, error: RuleFileError, *, seen: str | None) -> _Page:
        if known.refusal is None or str(known.refusal) != str(error):
            log.error("rules refused, what was there before goes on", file=name, reason=str(error))
        return _Page(seen, known.groups, error)

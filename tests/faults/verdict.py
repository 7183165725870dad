"""What the oracle says of a run."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Self


@dataclass(kw_only=True)
class Verdict:
    """Counts of one or more examinations; everything in `BREACHES` must be 0.

    `lost`: accepted documents that did not end ready, deleted or failed with a reason, or whose rows or last version are
    missing. `doubled`: rows beyond the planned chunks, and repeated chunk ids. `ghosts`: rows of generations that are
    not visible once purges are through, or of no record. `terminal_missing`: queries without an end. `terminal_doubled`:
    ends beyond the first. `mixtures` and `gaps`: searches that saw two generations of one document, or an incomplete or
    no generation of one that has a visible one. `stuck`: messages left in a work queue.
    """

    accepted: int = 0
    ready: int = 0
    failed: int = 0
    superseded: int = 0
    deleted: int = 0
    lost: int = 0
    doubled: int = 0
    ghosts: int = 0
    stuck: int = 0
    queries: int = 0
    terminals: int = 0
    terminal_missing: int = 0
    terminal_doubled: int = 0
    searches: int = 0
    mixtures: int = 0
    gaps: int = 0
    terminal_late: int = 0
    """Ended more than a second after the deadline. Told, not judged: it may be the machine that was late."""
    evidence: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """Why documents ended failed, some of them."""

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def then(self, later: Verdict) -> Verdict:
        """With a later look at the same stack: documents are counted anew each time, everything else since the last."""
        return replace(self + later, **{name: getattr(later, name) for name in DOCUMENT_COUNTS})

    @property
    def breaches(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in BREACHES if getattr(self, name)}

    @property
    def clean(self) -> bool:
        return not self.breaches

    def note(self, breach: str, what: str, count: int = 1) -> Self:
        """Count a breach and remember an example."""
        setattr(self, breach, getattr(self, breach) + count)
        if len(self.evidence) < MAX_EVIDENCE:
            self.evidence.append(f"{breach}: {what}")
        return self

    def forgive(self, breach: str) -> Self:
        """Take back a breach that a row brings about on purpose and judges otherwise."""
        setattr(self, breach, 0)
        self.evidence = [example for example in self.evidence if not example.startswith(f"{breach}:")]
        return self


BREACHES = (
    "lost", "doubled", "ghosts", "stuck", "terminal_missing", "terminal_doubled", "mixtures", "gaps"
)  # fmt: skip
DOCUMENT_COUNTS = ("accepted", "ready", "failed", "superseded", "deleted", "failures")
MAX_EVIDENCE = 20

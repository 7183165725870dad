"""What the harness was promised: every accepted submission, deletion and question, by its unique id."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Promise:
    """A submission that was answered 202."""

    document_id: str
    version: int
    sha256: str


@dataclass
class Books:
    """Written by the client, read by the oracle.

    `uncertain` documents had a submission or deletion whose answer never came: it may have happened or not, and nothing
    of it may hang.
    """

    promises: dict[str, list[Promise]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)
    questions: set[str] = field(default_factory=set)

    def accepted(self, promise: Promise) -> None:
        self.promises.setdefault(promise.document_id, []).append(promise)
        self.deleted.discard(promise.document_id)

    @property
    def documents(self) -> set[str]:
        return set(self.promises) | self.uncertain

    @property
    def submissions(self) -> int:
        return sum(map(len, self.promises.values()))

    def latest(self, document_id: str) -> Promise | None:
        """The last version that was promised."""
        return max(self.promises.get(document_id, ()), key=lambda promise: promise.version, default=None)

"""How `waggle audit` shows who did what."""

from __future__ import annotations

from datetime import UTC, datetime

from cli.audit import who
from contracts.audit import ActOutcome, AuditKind
from contracts.audit_views import AuditEntry
from contracts.runtime_config import Change, ConfigChanged

AT = datetime(2026, 11, 30, tzinfo=UTC)


def entry(**changes) -> AuditEntry:
    return AuditEntry(
        id="a", at=AT, kind=AuditKind.CONFIG, action="change_config", target="", detail="", outcome=ActOutcome.DONE,
        by="key:k3v5q2w7y4z6abcd", **changes,
    )  # fmt: skip


def test_a_claim_stands_beside_the_principal_and_not_in_its_place() -> None:
    assert who(entry()) == "key:k3v5q2w7y4z6abcd"
    assert who(entry(claimed_by="root@vm")) == "key:k3v5q2w7y4z6abcd (says root@vm)"


def test_a_setting_that_is_not_set_is_told_so() -> None:
    changes = (Change(key="top_k", before=None, after=7), Change(key="reranking", before=True, after=None))
    changed = ConfigChanged(id="c", number=1, changes=changes, because="more to read", principal="key:a", created_at=AT)

    assert AuditEntry.of(changed).detail == "top_k: unset → 7, reranking: true → unset (more to read)"

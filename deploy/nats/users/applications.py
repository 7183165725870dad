"""Programs of one tenant. Each tenant has an account of its own, whose only ways into Waggle's are these subjects.

Whatever reply subject such a program names, what comes back stays in its account: no other tenant and no service sees it.
"""

from __future__ import annotations

from contracts import subjects
from contracts.identifiers import TOKEN
from contracts.topology import ANSWERS
from deploy.nats.grants import asks, hears, publishes
from deploy.nats.user import User


def publisher(tenant: str) -> User:
    """Hands in documents, as far as that goes over NATS: see docs/nats-users.md."""
    return User(
        name=f"publisher-{_token(tenant)}",
        tenant=tenant,
        why="Has documents read that are uploaded, and hears what becomes of them.",
        grants=(
            publishes(subjects.ingest_request(tenant), why="Documents to be read (again)."),
            hears(f"{subjects.EVENTS}.document.*.{tenant}", why="What becomes of its documents."),
        ),
    )


def asker(tenant: str) -> User:
    """Asks questions and reads answers."""
    return User(
        name=f"asker-{_token(tenant)}",
        tenant=tenant,
        why="Asks questions, reads the answers, withdraws its questions.",
        grants=(
            publishes(subjects.query_request(tenant), why="Questions."),
            hears(f"{subjects.ANSWERS}.{tenant}.>", why="Answers, as they come."),
            asks(
                f"DIRECT.GET.{ANSWERS.name}.{subjects.ANSWERS}.{tenant}.>",
                why="The newest event of an answer, and its end, after a connection broke off.",
            ),
            publishes(subjects.withdrawal(tenant, "*"), why="Withdrawing a question."),
        ),
    )


def _token(tenant: str) -> str:
    if not TOKEN.fullmatch(tenant):
        raise ValueError(f"{tenant!r} is no name of a tenant: letters, digits, `-` and `_`, at most 128")
    return tenant

"""Retrieve: searches, and hands over to generation."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import QUERY_WORKERS
from deploy.nats.grants import answers, consumes, hears, publishes, worker
from deploy.nats.user import User
from deploy.nats.users.shared import (
    ANSWERED,
    CACHED,
    CANCELLED,
    CONFIGURED,
    ENDPOINTS,
    ENDS,
    INDEX_MARK,
    LEDGER_READ,
    QUERY_FACTS,
)

RETRIEVE = User(
    name="retrieve",
    why="Searches for what answers a question.",
    grants=(
        *worker("retrieve"),
        *consumes(QUERY_WORKERS, why="Questions."),
        LEDGER_READ,
        publishes(subjects.generate_request("*", "*"), why="Questions with their passages, to be answered."),
        publishes(subjects.CONDENSE, why="Questions of conversations, to be put in full."),
        hears(subjects.ENCODE, why="Texts to be encoded."),
        answers("gateway", why="Vectors of texts."),
        hears(
            subjects.health("generate", "*"),
            why="Which models write answers: others' answers are not remembered for them.",
        ),
        hears(subjects.answer_end("*", "*"), why="Answers to be remembered."),
        ANSWERED,
        *ENDS,
        QUERY_FACTS,
        CANCELLED,
        *CACHED,
        *CONFIGURED,
        INDEX_MARK,
        *ENDPOINTS,
    ),
)

"""Generate: writes answers. It sees no document but the passages of a question."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import GENERATE_CANARY_WORKERS, GENERATE_STABLE_WORKERS
from deploy.nats.grants import answers, consumes, hears, worker
from deploy.nats.user import User
from deploy.nats.users.shared import ANSWERED, CANCELLED, CONFIGURED, ENDPOINTS, ENDS, QUERY_FACTS

GENERATE = User(
    name="generate",
    why="Writes answers from passages. It hands what strangers wrote to a model.",
    grants=(
        *worker("generate"),
        *consumes(GENERATE_STABLE_WORKERS, why="Questions with their passages."),
        *consumes(GENERATE_CANARY_WORKERS, why="The same, of the canary."),
        hears(subjects.CONDENSE, why="Questions of conversations."),
        answers("retrieve", why="Questions put in full."),
        ANSWERED,
        *ENDS,
        QUERY_FACTS,
        CANCELLED,
        *CONFIGURED,
        *ENDPOINTS,
    ),
)

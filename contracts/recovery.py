"""How the fleet is repaired: what was decided and why, what was ordered, what became of it, and whether it helped.

Each is an event in the stream OPS, which is the audit: nothing that a repair did is known from anywhere else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from contracts.alerts import Fingerprint
from contracts.diagnoses import Cause, Evidence, RecommendedAction
from contracts.identifiers import Token
from contracts.message import Message, Value
from contracts.runtime_config import ClaimedName

MOST_REPLICAS: Final = 64
MOST_CAPTURED_BYTES: Final = 128 * 1024
"""Of what is kept of a target before it is acted upon, in UTF-8."""
LONGEST_EVIDENCE: Final = 16
LONGEST_ACTION_S: Final = 180.0
"""So long after it was begun the operator is done with a command, and there is a result."""

OPERATOR: Final = "operator"
"""Who acts, as the principal of what was changed."""

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Signature = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class TargetKind(StrEnum):
    INSTANCE = "instance"
    """One process, by the name that its heartbeats carry."""
    SERVICE = "service"
    """How many processes of a service run, or what they all keep."""
    BACKEND = "backend"
    """Which of several a service works with."""
    CONFIG = "config"
    """The runtime configuration as a whole; its name is `runtime`."""


class Target(Value):
    """What is acted upon: always one thing, written out. There is no way to say "all"."""

    kind: TargetKind
    name: Token
    service: Token
    """Of an instance its service; otherwise the service that the action is for."""

    @property
    def key(self) -> str:
        """One token that no other target has."""
        return f"{self.kind.value}_{self.name}"


TARGET_OF: Final = {
    RecommendedAction.RESTART_SERVICE: TargetKind.INSTANCE,
    RecommendedAction.CLEAR_CACHE: TargetKind.SERVICE,
    RecommendedAction.SCALE_UP: TargetKind.SERVICE,
    RecommendedAction.SCALE_DOWN: TargetKind.SERVICE,
    RecommendedAction.FAILOVER: TargetKind.BACKEND,
    RecommendedAction.ROLLBACK: TargetKind.CONFIG,
}
"""What each action is done to. `CALL_PERSON` is done to nobody, and is never ordered."""


class Mode(StrEnum):
    """How far a policy lets the system go by itself."""

    OBSERVE = "observe"
    """Say what is wrong, propose nothing."""
    DRY_RUN = "dry_run"
    """Say what would be done."""
    APPROVE = "approve"
    """Do it once a person has said yes."""
    AUTO = "auto"


class Verdict(StrEnum):
    """What was decided about one action."""

    ACT = "act"
    DRY_RUN = "dry_run"
    OBSERVE = "observe"
    AWAIT_APPROVAL = "await_approval"
    WITHHELD = "withheld"
    """A safeguard forbids it; `safeguard` says which."""
    CALL_PERSON = "call_person"
    """The ladder is at its end, or says so."""


class Safeguard(StrEnum):
    """What keeps an action from doing harm."""

    RESTART_STORM = "restart_storm"
    QUORUM = "quorum"
    DISCONNECTED = "disconnected"
    STALE_EVIDENCE = "stale_evidence"
    BLAST_RADIUS = "blast_radius"
    COOLDOWN = "cooldown"
    FLAPPING = "flapping"
    PRECHECK = "precheck"
    ROLLOUT = "rollout"
    MAINTENANCE = "maintenance"
    PAUSED = "paused"
    NO_PROGRESS = "no_progress"
    """Only what works on nothing although work waits is restarted; slowness alone is no reason."""
    UNSURE = "unsure"
    """One signal, where two independent ones are asked for, or too little confidence."""


class RecoveryDecision(Message):
    """What was decided about one action against one cause, also when it was: nothing.

    `incident` is the same for all that is done about one episode of a cause; `rung` counts the ladder's actions from 0.
    `token` is the fencing token of who decided. `id` is deterministic: consumers drop repeats by it.
    """

    id: Token
    incident: Token
    fingerprint: Fingerprint
    cause: Cause
    summary: Reason
    confidence: float = Field(ge=0, le=1)
    action: RecommendedAction
    rung: int = Field(ge=0)
    target: Target | None
    """None where a person is called, or no target can be named."""
    mode: Mode
    verdict: Verdict
    safeguard: Safeguard | None = None
    why: Reason
    """In one sentence, for people; of a withheld one also when it is looked at again."""
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=LONGEST_EVIDENCE)
    token: int = Field(ge=0)
    next_at: AwareDatetime | None = None
    """When the next step may follow, where that is known."""
    returns: Token | None = None
    """The earlier decision whose action is taken back, now that what it was for has long been over."""

    @model_validator(mode="after")
    def _withheld_by_something(self) -> Self:
        if (self.verdict is Verdict.WITHHELD) != (self.safeguard is not None):
            raise ValueError("what is withheld is so by a safeguard, and nothing else names one")
        return self

    @model_validator(mode="after")
    def _done_to_something(self) -> Self:
        if self.verdict is Verdict.ACT:
            if self.target is None or TARGET_OF.get(self.action) is not self.target.kind:
                raise ValueError(f"{self.action.value} is not done to what is named as its target")
            if not self.evidence:
                raise ValueError("what is done rests on evidence")
        return self


class RecoveryCommand(Message):
    """An order to the operator to act upon one target. One that comes after `expires_at` (the broker's time), or whose `token`
    is older than one that was seen, is refused; the same `id` is done once.

    `signature` is an HMAC-SHA-256 over all the rest, as 64 hex characters (`messaging.recovery.signing`).
    """

    id: Token
    decision: Token
    incident: Token
    action: RecommendedAction
    target: Target
    replicas: int | None = Field(default=None, ge=1, le=MOST_REPLICAS)
    """Of scale_up and scale_down: how many are to run."""
    revision: int | None = Field(default=None, ge=0)
    """Of rollback: the revision to go back to; 0: nothing is set."""
    standby: bool | None = None
    """Of failover: whether the standby is to be used, or the first choice again."""
    reason: Reason
    token: int = Field(ge=0)
    expires_at: AwareDatetime
    evidence_at: AwareDatetime
    """Of the newest evidence that it rests on."""
    signature: Signature | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        kind = TARGET_OF.get(self.action)
        if kind is not self.target.kind:
            raise ValueError(f"{self.action.value} is done to {kind.value if kind else 'nobody'}")
        wanted = {
            "replicas": self.action in {RecommendedAction.SCALE_UP, RecommendedAction.SCALE_DOWN},
            "revision": self.action is RecommendedAction.ROLLBACK,
            "standby": self.action is RecommendedAction.FAILOVER,
        }
        for name, needed in wanted.items():
            if (getattr(self, name) is not None) != needed:
                raise ValueError(f"{name} belongs to other actions" if not needed else f"{name} is missing")
        return self


class CommandOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    """Nothing was done: `detail` says by which rule."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The operator ended while it was at it: it may have been done."""


class RecoveryResult(Message):
    """What became of a command. The first result of a command counts; there is one for each that could be read."""

    id: Token
    """The command's."""
    decision: Token
    incident: Token
    action: RecommendedAction
    target: Target
    outcome: CommandOutcome
    detail: Reason
    captured: str = ""
    """What was kept of the target before: the tail of its log, its stacks, its consumer's state."""
    replicas: int | None = Field(default=None, ge=0)
    """Of scale_up and scale_down that started or stopped something: how many run since then."""
    began_at: AwareDatetime
    token: int = Field(ge=0)


class Verified(StrEnum):
    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    """The next rung of the ladder is due; the same is not done again."""
    UNKNOWN = "unknown"
    """Nothing newer is known of it."""


class RecoveryVerification(Message):
    """Whether an action helped, or a cause went away without one (`command` is None: the platform did it, or it passed)."""

    id: Token
    incident: Token
    command: Token | None
    cause: Cause
    fingerprint: Fingerprint
    verified: Verified
    detail: Reason
    token: int = Field(ge=0)


class RecoveryPause(Message):
    """Nothing is acted upon until `ends_at`, or until somebody ends it. Kept in the bucket `config` under `recovery.pause`."""

    reason: Reason
    ends_at: AwareDatetime
    claimed_by: ClaimedName | None = None
    """Who says to have done it; kept beside the principal, and not verified."""

    @property
    def by(self) -> str:
        return self.claimed_by or self.principal


class RecoveryApproval(Message):
    """A person's answer to a decision that waits for one (`Verdict.AWAIT_APPROVAL`). The first answer counts."""

    decision: Token
    incident: Token | None = None
    """The decision's."""
    approved: bool
    reason: Reason
    claimed_by: ClaimedName | None = None
    """Who says to have given it; kept beside the principal, and not verified."""

    @property
    def by(self) -> str:
        return self.claimed_by or self.principal

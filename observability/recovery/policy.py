"""What may be done against which cause, how far by itself, and within which limits."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from contracts.diagnoses import Cause, RecommendedAction
from contracts.recovery import MOST_REPLICAS, Mode
from observability.notifications.configuration.base import Part
from observability.notifications.configuration.durations import Duration, format_duration
from observability.recovery.past import REMEMBERED

MOST_RUNGS: Final = 8


class PreCheck(StrEnum):
    """What has to hold before an action; otherwise the next rung is looked at."""

    CAPACITY_LEFT = "capacity_left"
    """Others of the service are ready, or the target does no work anyway, or it is the only one there is."""
    WITHIN_BOUNDS = "within_bounds"
    """One more, or one less, is within `replicas`, and the platform has room for it."""
    STANDBY_AVAILABLE = "standby_available"
    """There is a standby that is not used yet."""
    FIRST_CHOICE_AVAILABLE = "first_choice_available"
    """What the standby stands in for works again. Only for going back, which no rung names."""
    CONFIG_CHANGED = "config_changed"
    """There is a revision to go back to, and the present one was set shortly before the cause began."""
    CACHE_IN_USE = "cache_in_use"
    """The service works with a cache."""


class PostCheck(StrEnum):
    """What has to hold after an action besides that the cause is gone."""

    INSTANCE_READY = "instance_ready"
    """The instance is heard again, and ready."""
    STANDBY_ACTIVE = "standby_active"
    FEWER_RUN = "fewer_run"
    """No more instances run than were left."""
    FIRST_CHOICE_ACTIVE = "first_choice_active"
    """Only for going back, which no rung names."""


PRE_CHECKS: Final = {
    RecommendedAction.RESTART_SERVICE: (PreCheck.CAPACITY_LEFT,),
    RecommendedAction.CLEAR_CACHE: (PreCheck.CACHE_IN_USE,),
    RecommendedAction.SCALE_UP: (PreCheck.WITHIN_BOUNDS,),
    RecommendedAction.SCALE_DOWN: (PreCheck.WITHIN_BOUNDS,),
    RecommendedAction.FAILOVER: (PreCheck.STANDBY_AVAILABLE,),
    RecommendedAction.ROLLBACK: (PreCheck.CONFIG_CHANGED,),
}
"""Those that make sense for each action; all of them apply where a rung names none."""
POST_CHECKS: Final = {
    RecommendedAction.RESTART_SERVICE: (PostCheck.INSTANCE_READY,),
    RecommendedAction.SCALE_DOWN: (PostCheck.FEWER_RUN,),
    RecommendedAction.FAILOVER: (PostCheck.STANDBY_ACTIVE,),
}


def _within_memory(duration: timedelta) -> timedelta:
    if duration <= timedelta():
        raise ValueError("must be longer than 0s")
    if duration > REMEMBERED:
        raise ValueError(f"must be {format_duration(REMEMBERED)} at most: what was done before is not remembered")
    return duration


Span = Annotated[Duration, AfterValidator(_within_memory)]


class Cooldown(Part):
    """How long the same action on the same target rests."""

    after_success: Span = timedelta(minutes=5)
    after_failure: Span = timedelta(minutes=1)


class Budget(Part):
    """How often a target is acted upon before a person is called."""

    actions: int = Field(default=3, ge=1, le=20)
    """Within `window`."""
    window: Span = timedelta(minutes=10)
    first_delay: Span = timedelta(seconds=10)
    """After the first action; it doubles with each further one."""
    longest_delay: Span = timedelta(seconds=300)
    reset_after: Span = timedelta(minutes=10)
    """So long the target has to be well before its actions are forgotten."""


class Rung(Part):
    """One action of a ladder. Without `pre_checks` and `post_checks` all those that make sense for the action apply."""

    action: RecommendedAction
    mode: Mode
    repeat: bool = False
    """Whether it may be done again to the same target when it did not help, within its budget."""
    cooldown: Cooldown = Cooldown()
    budget: Budget = Budget()
    pre_checks: tuple[PreCheck, ...] | None = None
    post_checks: tuple[PostCheck, ...] | None = None
    healthy_for: Span = timedelta(seconds=30)
    """So long the cause has to be gone to count as recovered."""
    verify_within: Span = timedelta(minutes=2)
    """A cause that is still there then was not helped."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.action is RecommendedAction.CALL_PERSON:
            raise ValueError("every ladder ends with a call for a person by itself: leave call_person out")
        for name, given, known in (
            ("pre_checks", self.pre_checks, PRE_CHECKS.get(self.action, ())),
            ("post_checks", self.post_checks, POST_CHECKS.get(self.action, ())),
        ):
            wrong = [each.value for each in given or () if each not in known]
            if wrong:
                there = ", ".join(each.value for each in known) or "none"
                raise ValueError(f"{name}: {wrong[0]} is not for {self.action.value}; for it there are: {there}")
        if self.budget.first_delay > self.budget.longest_delay:
            raise ValueError("budget: first_delay is longer than longest_delay")
        return self

    @property
    def checked_before(self) -> tuple[PreCheck, ...]:
        return PRE_CHECKS[self.action] if self.pre_checks is None else self.pre_checks

    @property
    def checked_after(self) -> tuple[PostCheck, ...]:
        return POST_CHECKS.get(self.action, ()) if self.post_checks is None else self.post_checks


class Limits(Part):
    """What holds for all actions."""

    evaluation_interval: Span = timedelta(seconds=15)
    """How often there is new evidence, at the latest: samples come every 10 s. Such as is older than two of them is stale."""
    least_confidence: float = Field(default=0.6, ge=0, le=1)
    two_signals: tuple[RecommendedAction, ...] = (RecommendedAction.FAILOVER, RecommendedAction.ROLLBACK)
    """Actions that one signal alone is not enough for."""
    blast_share: float = Field(default=0.2, gt=0, le=1)
    """Of the instances of a service that may be acted upon within `blast_window`; one always may."""
    blast_window: Span = timedelta(minutes=2)
    silent_share: float = Field(default=0.3, gt=0, lt=1)
    """Where more of the fleet is silent at once, the observer suspects itself."""
    small_fleet: int = Field(default=5, ge=0, le=100)
    """In a fleet of so many or fewer `silent_of_few` count instead of a share."""
    silent_of_few: int = Field(default=2, ge=1, le=100)
    least_replicas: int = Field(default=1, ge=1, le=MOST_REPLICAS)
    most_replicas: int = Field(default=4, ge=1, le=MOST_REPLICAS)
    flapping_window: Span = timedelta(minutes=15)
    """Within it no action is followed by its opposite on the same target."""
    return_after: Span = timedelta(minutes=30)
    """So long a cause has to be gone before what was only meant for a while is taken back; each time within a day doubles it."""
    settling: Span = timedelta(seconds=30)
    """A service of which somebody has started an instance is left alone for so long."""
    starting_patience: Span = timedelta(minutes=5)
    """How long an instance may take to start."""
    platform_patience: Span = timedelta(seconds=30)
    """How long a silent instance is left to the platform where its view is not known."""
    crash_loop: int = Field(default=3, ge=2, le=100)
    """Starts again by the platform, within 10 minutes, that make a crash loop."""
    config_suspect: Span = timedelta(minutes=30)
    """A revision that was set at most so long before a cause began may be behind it."""
    command_expires: Span = timedelta(seconds=30)
    healthy_for: Span = timedelta(minutes=1)
    """So long a cause has to be gone that went without an action."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.least_replicas > self.most_replicas:
            raise ValueError("least_replicas is more than most_replicas")
        if "return_after" in self.model_fields_set and self.return_after < self.flapping_window:
            raise ValueError("return_after is shorter than flapping_window, within which nothing is taken back")
        return self

    @property
    def quiet_before_return(self) -> timedelta:
        return max(self.return_after, self.flapping_window)

    @property
    def evidence_age(self) -> timedelta:
        return 2 * self.evaluation_interval


Ladder = Annotated[tuple[Rung, ...], Field(max_length=MOST_RUNGS)]


class Policy(Part):
    """The whole file. A cause without a ladder calls a person."""

    limits: Limits = Limits()
    ladders: dict[Cause, Ladder] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _each_action_once(self) -> Self:
        for cause, ladder in self.ladders.items():
            actions = [rung.action for rung in ladder]
            if len(set(actions)) < len(actions):
                raise ValueError(f"ladders: {cause.value} has an action twice: set `repeat` on one rung instead")
        return self

    def ladder(self, cause: Cause) -> tuple[Rung, ...]:
        return self.ladders.get(cause, ())

    def rung(self, cause: Cause, action: RecommendedAction) -> Rung | None:
        return next((rung for rung in self.ladder(cause) if rung.action is action), None)

    def scaled(self, factor: float) -> Policy:
        """All times multiplied, for tests and campaigns. Raises `ValueError` unless `factor` is above 0."""
        if factor <= 0:
            raise ValueError(f"times cannot be scaled by {factor}: give a factor above 0")
        scaled: Policy = _scaled(self, factor)
        return scaled


def _scaled(value: Any, factor: float) -> Any:
    if isinstance(value, timedelta):
        return value * factor
    if isinstance(value, BaseModel):
        changed = {name: _scaled(getattr(value, name), factor) for name in type(value).model_fields}
        return value.model_copy(update=changed)
    if isinstance(value, tuple):
        return type(value)(_scaled(each, factor) for each in value)
    if isinstance(value, dict):
        return type(value)({key: _scaled(each, factor) for key, each in value.items()})
    return value

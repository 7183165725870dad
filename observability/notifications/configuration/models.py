"""The file of routes and receivers: who is told of what, through which channel, how often.

It is Alertmanager's in its words and its meaning, with two differences: channels have names of their own, so that each can be tested
and has its own queue, and secrets are only referred to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from contracts.alerts import LabelName
from observability.notifications.configuration.base import ChannelName, Name, Part
from observability.notifications.configuration.channel_models import Channel
from observability.notifications.configuration.durations import Duration
from observability.notifications.configuration.interval_models import TimeInterval
from observability.notifications.matchers import parse_matcher

GROUP_BY_EVERYTHING = "..."
MAX_ROUTES = 1000
MAX_DEPTH = 16
MAX_CHANNELS = 64
MAX_CHANNELS_OF_A_RECEIVER = 16
MAX_INHIBIT_RULES = 256


def _matcher_texts(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("is a list of matchers, as ['severity=\"critical\"']")  # noqa: TRY004 (pydantic's protocol)
    for text in value:
        if not isinstance(text, str):
            raise ValueError(f"{text!r} is not a matcher: put it in quotation marks")  # noqa: TRY004
        parse_matcher(text)
    return value


MatcherTexts = Annotated[tuple[str, ...], BeforeValidator(_matcher_texts), Field(max_length=32)]


class Receiver(Part):
    """Somebody, and the channels that reach them. All of them are used, each on its own."""

    name: Name
    channels: tuple[ChannelName, ...] = Field(default=(), max_length=MAX_CHANNELS_OF_A_RECEIVER)
    """None: nobody is told. What is routed there on purpose is dropped."""

    @field_validator("channels")
    @classmethod
    def _each_once(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(channels)) < len(channels):
            raise ValueError("names a channel twice")
        return channels


class RouteModel(Part):
    """A branch of the tree. What it does not say is as its parent has it."""

    matchers: MatcherTexts = ()
    receiver: Name | None = None
    group_by: tuple[str, ...] | None = Field(default=None, max_length=32)
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    mute_time_intervals: tuple[Name, ...] = ()
    active_time_intervals: tuple[Name, ...] = ()
    continue_: bool = Field(default=False, alias="continue")
    routes: tuple[RouteModel, ...] = Field(default=(), max_length=MAX_ROUTES)

    @field_validator("group_by")
    @classmethod
    def _by_labels(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels is None:
            return None
        if GROUP_BY_EVERYTHING in labels and len(labels) > 1:
            raise ValueError("groups by '...', which is every label, and by others")
        wrong = [name for name in labels if name != GROUP_BY_EVERYTHING and not name.isidentifier()]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a label's name")
        return labels

    @field_validator("group_interval", "repeat_interval")
    @classmethod
    def _not_at_once(cls, duration: Duration | None) -> Duration | None:
        if duration is not None and duration.total_seconds() < 1:
            raise ValueError("must be at least 1s")
        return duration

    def tree(self) -> Iterator[RouteModel]:
        yield self
        for route in self.routes:
            yield from route.tree()


class InhibitRule(Part):
    """While an alert that meets `source_matchers` fires, those that meet `target_matchers` are not told of, where both have
    the same values of the labels `equal`.
    """

    source_matchers: MatcherTexts = Field(min_length=1)
    target_matchers: MatcherTexts = Field(min_length=1)
    equal: tuple[LabelName, ...] = Field(default=(), max_length=32)


class NotificationConfig(Part):
    """The whole file."""

    route: RouteModel
    receivers: tuple[Receiver, ...] = Field(min_length=1, max_length=MAX_ROUTES)
    channels: dict[ChannelName, Channel] = Field(default_factory=dict, max_length=MAX_CHANNELS)
    inhibit_rules: tuple[InhibitRule, ...] = Field(default=(), max_length=MAX_INHIBIT_RULES)
    time_intervals: tuple[TimeInterval, ...] = Field(default=(), max_length=256)
    external_url: str = Field(default="", max_length=2048, pattern=r"^(https?://[^\s]+)?$")
    """Where people find Waggle; in messages as a link."""
    runbooks_url: str = Field(default="", max_length=1024, pattern=r"^(https?://[^\s]+)?$")
    """Where people find the pages of `docs/runbooks`; a `runbook_url` that is no address of its own is looked for there."""

    @model_validator(mode="after")
    def _root_takes_everything(self) -> Self:
        if self.route.receiver is None:
            raise ValueError("route: the first route names a receiver, for what no other takes")
        if self.route.matchers or self.route.continue_:
            raise ValueError("route: the first route takes everything: it has neither matchers nor continue")
        if self.route.mute_time_intervals or self.route.active_time_intervals:
            raise ValueError(
                "route: the first route is never muted: what no other takes would be lost to nobody's notice"
            )
        return self

    def receiver(self, name: str) -> Receiver:
        """Raises `KeyError` when there is none of that name, which a checked file rules out."""
        return {receiver.name: receiver for receiver in self.receivers}[name]

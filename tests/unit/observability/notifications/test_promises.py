"""Whatever happens: who is to be told is told, once, and of an end only after the beginning."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from observability.notifications.pipeline import Pipeline
from observability.notifications.told import Told
from tests.unit.observability.notifications.simulation import Mode, World

NAMES = st.sampled_from(["Root", "Slow", "Down"])
SEVERITIES = st.sampled_from(["critical", "info", "warning"])
SERVICES = st.sampled_from(["embed", "retrieve"])
CHANNELS = st.sampled_from(["mail", "chat"])
DURATIONS = st.one_of(
    st.integers(1, 90).map(lambda s: timedelta(seconds=s)),
    st.integers(1, 45).map(lambda m: timedelta(minutes=m)),
    st.integers(1, 9).map(lambda h: timedelta(hours=h)),
)


class Promises(RuleBasedStateMachine):
    """Random histories of a world; the world judges itself."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        self.world = World(seed=seed)

    @rule(name=NAMES, severity=SEVERITIES, service=SERVICES)
    def fire(self, name: str, severity: str, service: str) -> None:
        self.world.fire(name, severity, service)

    @rule(number=st.integers(0, 10))
    def resolve(self, number: int) -> None:
        self.world.resolve(number)

    @rule(
        label=st.sampled_from([("alertname", "Slow"), ("service", "embed"), ("severity", "critical")]),
        duration=DURATIONS,
    )
    def silence(self, label: tuple[str, str], duration: timedelta) -> None:
        self.world.silence(*label, duration)

    @rule(channel=CHANNELS, mode=st.sampled_from(Mode))
    def become(self, channel: str, mode: Mode) -> None:
        self.world.become(channel, mode)

    @rule()
    def everything_is_up(self) -> None:
        for channel in self.world.receivers:
            self.world.become(channel, Mode.UP)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(channel=CHANNELS)
    def crash_with_a_message_on_its_way(self, channel: str) -> None:
        self.world.crash_with_a_message_on_its_way(channel)

    @rule(duration=DURATIONS)
    def advance(self, duration: timedelta) -> None:
        self.world.advance(duration)

    @rule(duration=DURATIONS)
    def advance_again(self, duration: timedelta) -> None:
        self.world.advance(duration)

    def teardown(self) -> None:
        """Everything comes up in the end, and then everybody knows."""
        if hasattr(self, "world"):
            self.everything_is_up()
            self.world.advance(timedelta(hours=10))


TestPromises = Promises.TestCase
TestPromises.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


class TestTheOracle:
    """It notices when a safeguard is gone."""

    def test_notices_that_nobody_was_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Pipeline, "_due", lambda *_: [])
        world = World()
        world.fire("Down", "warning", "embed")
        with pytest.raises(AssertionError, match="nobody was told"):
            world.advance(timedelta(hours=1))

    def test_notices_a_repetition(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Told, "knows", lambda *_: False)
        world = World()
        world.fire("Down", "warning", "embed")
        with pytest.raises(AssertionError, match="told again without a change"):
            world.advance(timedelta(hours=1))

    def test_notices_an_end_without_a_beginning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Told, "may_know", lambda *_: True)
        world = World()
        world.fire("Down", "warning", "embed")
        world.resolve(0)
        with pytest.raises(AssertionError, match="whose beginning was never told"):
            world.advance(timedelta(hours=1))

    def test_notices_a_forgotten_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In doubt means told: without that the end of what was told in doubt is never told."""
        world = World()
        world.become("mail", Mode.DOUBTFUL)
        world.fire("Down", "warning", "embed")
        monkeypatch.setattr(Told, "attempting", lambda *_: None)
        world.advance(timedelta(seconds=31))
        world.become("mail", Mode.DOWN)
        world.resolve(0)
        world.advance(timedelta(minutes=20))
        world.become("mail", Mode.UP)
        with pytest.raises(AssertionError, match="ended"):
            world.advance(timedelta(hours=1))

    def test_notices_a_state_that_is_not_restored(self) -> None:
        world = World()
        world.fire("Down", "warning", "embed")
        world.advance(timedelta(hours=1))
        world.store.clear()
        world.crash()
        with pytest.raises(AssertionError, match="told again without a change"):
            world.advance(timedelta(hours=1))

    def test_notices_an_end_that_was_never_told_after_a_crash(self) -> None:
        world = World()
        world.fire("Down", "warning", "embed")
        world.advance(timedelta(minutes=10))
        world.store.clear()
        world.resolve(0)
        world.store.clear()
        world.crash()
        with pytest.raises(AssertionError, match="ended"):
            world.advance(timedelta(hours=1))

"""The policy file: read whole, or refused with file, line and reason."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from contracts.diagnoses import Cause, RecommendedAction
from contracts.recovery import Mode
from deploy.recovery import POLICY
from observability.diagnosis.actions import ACTIONS
from observability.recovery import Policy, PolicyError, PostCheck, PreCheck, load_policy, parse_policy
from observability.recovery.checks import AFTER, BEFORE
from observability.recovery.policy import Limits

DOCUMENTED = (Path(__file__).parents[4] / "docs" / "recovery.md").read_text(encoding="utf-8")


def refused(text: str) -> str:
    with pytest.raises(PolicyError) as error:
        parse_policy(text)
    return str(error.value)


class TestTheShippedFile:
    def test_has_a_ladder_for_every_cause(self):
        assert set(load_policy(POLICY).ladders) == set(Cause)

    @pytest.mark.parametrize("cause", Cause)
    def test_does_what_diagnoses_recommend(self, cause):
        done = tuple(rung.action for rung in load_policy(POLICY).ladder(cause))

        assert (done or (RecommendedAction.CALL_PERSON,)) == ACTIONS[cause]

    def test_writes_out_the_limits_that_hold_without_it(self):
        assert load_policy(POLICY).limits == Limits()

    def test_asks_a_person_before_settings_go_back_for_a_release(self):
        (rung,) = load_policy(POLICY).ladder(Cause.BAD_RELEASE)

        assert rung.mode is Mode.APPROVE


class TestReading:
    def test_what_is_not_said_has_its_default(self):
        policy = parse_policy("ladders:\n  memory_leak:\n    - {action: restart_service, mode: auto}\n")

        (rung,) = policy.ladder(Cause.MEMORY_LEAK)
        assert rung.cooldown.after_success == timedelta(minutes=5)
        assert rung.cooldown.after_failure == timedelta(minutes=1)
        assert (rung.budget.actions, rung.budget.window) == (3, timedelta(minutes=10))
        assert rung.checked_before == (PreCheck.CAPACITY_LEFT,)
        assert rung.checked_after == (PostCheck.INSTANCE_READY,)
        assert policy.ladder(Cause.DISK_FILLING) == ()

    def test_no_checks_may_be_wanted(self):
        text = "ladders: {memory_leak: [{action: restart_service, mode: auto, pre_checks: [], post_checks: []}]}"
        (rung,) = parse_policy(text).ladder(Cause.MEMORY_LEAK)

        assert (rung.checked_before, rung.checked_after) == ((), ())

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ladders: [", "policy.yaml:1: is not YAML"),
            ("- a", "policy.yaml:1: is no mapping"),
            ("limits:\n  blast_share: 2\n", "policy.yaml:2: limits.blast_share:"),
            ("limits:\n  least_replicas: 5\n", "policy.yaml:1: limits: least_replicas is more than most_replicas"),
            ("limits:\n  settling: 0s\n", "policy.yaml:2: limits.settling: must be longer than 0s"),
            (
                "limits:\n  flapping_window: 1d1ms\n",
                "policy.yaml:2: limits.flapping_window: must be 1d at most: what was done before is not remembered",
            ),
            ("rules: {}\n", "policy.yaml:1: rules: Extra inputs"),
            ("ladders:\n  headache: []\n", "policy.yaml:2: ladders.headache:"),
            (
                "ladders:\n  memory_leak:\n  - {action: dance, mode: auto}\n",
                "policy.yaml:3: ladders.memory_leak.0.action",
            ),
            ("ladders:\n  memory_leak:\n  - {action: rollback}\n", "policy.yaml:3: ladders.memory_leak.0.mode"),
            ("ladders:\n  memory_leak:\n  - {action: call_person, mode: auto}\n", "leave call_person out"),
            (
                "ladders:\n  memory_leak:\n  - {action: rollback, mode: auto}\n  - {action: rollback, mode: auto}\n",
                "memory_leak has an action twice: set `repeat`",
            ),
            (
                "ladders:\n  memory_leak:\n  - action: restart_service\n    mode: auto\n    pre_checks: [luck]\n",
                "policy.yaml:5: ladders.memory_leak.0.pre_checks.0: Input should be 'capacity_left'",
            ),
            (
                "ladders:\n  memory_leak:\n  - {action: restart_service, mode: auto, pre_checks: [cache_in_use]}\n",
                "cache_in_use is not for restart_service; for it there are: capacity_left",
            ),
            (
                "ladders:\n  memory_leak:\n  - {action: clear_cache, mode: auto, post_checks: [instance_ready]}\n",
                "instance_ready is not for clear_cache; for it there are: none",
            ),
            (
                "ladders:\n  memory_leak:\n  - {action: restart_service, mode: auto, budget: {first_delay: 10m}}\n",
                "first_delay is longer than longest_delay",
            ),
        ],
    )
    def test_refuses_the_whole_file(self, text, said):
        assert said in refused(text)

    def test_names_everything_that_is_wrong(self):
        said = refused("limits:\n  crash_loop: 0\n  blast_window: soon\n")

        assert [line.split(": ")[0] for line in said.splitlines()] == ["policy.yaml:2", "policy.yaml:3"]

    def test_a_file_that_is_not_there_is_said(self, tmp_path):
        with pytest.raises(PolicyError, match="cannot be read: No such file"):
            load_policy(tmp_path / "none.yaml")

    def test_bytes_that_are_no_text_are_said(self, tmp_path):
        file = tmp_path / "policy.yaml"
        file.write_bytes(b"\xff\xfe")

        with pytest.raises(PolicyError, match="is not text in UTF-8"):
            load_policy(file)


class TestScaling:
    def test_multiplies_all_times_and_nothing_else(self):
        policy = load_policy(POLICY)
        scaled = policy.scaled(0.1)

        assert scaled.limits.evidence_age == policy.limits.evidence_age / 10
        assert scaled.limits.crash_loop == policy.limits.crash_loop
        before, after = policy.ladder(Cause.MEMORY_LEAK)[0], scaled.ladder(Cause.MEMORY_LEAK)[0]
        assert after.cooldown.after_success == before.cooldown.after_success / 10
        assert after.budget.longest_delay == before.budget.longest_delay / 10
        assert (after.verify_within, after.budget.actions) == (before.verify_within / 10, before.budget.actions)

    def test_refuses_what_would_turn_time_back(self):
        with pytest.raises(ValueError, match="above 0"):
            Policy().scaled(0)


class TestChecks:
    def test_every_name_has_its_check(self):
        assert (set(BEFORE), set(AFTER)) == (set(PreCheck), set(PostCheck))


class TestDocumentation:
    @pytest.mark.parametrize("key", sorted(Limits.model_fields))
    def test_names_every_limit(self, key):
        assert f"| `{key}` |" in DOCUMENTED

    @pytest.mark.parametrize("check", [*PreCheck, *PostCheck])
    def test_names_every_check(self, check):
        assert f"`{check.value}`" in DOCUMENTED

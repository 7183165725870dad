"""`waggle recovery` and `waggle incidents`: what they ask the gateway, and what people are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.client import GatewayClient
from cli.incident_tables import elapsed
from contracts.incidents import IncidentsView
from contracts.recovery import RecoveryPause, Verdict
from contracts.recovery_views import PauseView, RecoveriesView, RecoveryEntry, RecoveryPlanView
from observability.incidents import Material, incident, incidents
from tests.support.commands import Ran
from tests.support.repairs import (
    INCIDENT,
    alert,
    approval,
    at,
    command,
    decision,
    episode,
    result,
    verification,
)
from tests.unit.cli.gateways import problem

Waggle = Callable[..., Ran]

REPAIRS = (decision(), command(), result(), verification())
STORY = Material(alerts=[alert(), alert(ends=38)], episodes=[episode(last=31, ended=31)], repairs=REPAIRS)
HOLD = Material(episodes=[episode()], repairs=[decision(Verdict.WITHHELD, incident="i-2", next_at=at(300))])
WHOLE = incident(STORY, INCIDENT)
SUMMARIES = (*incidents(HOLD), *incidents(STORY))
ENTRIES = tuple(RecoveryEntry.of(event) for event in (*REPAIRS, approval()))
POLICY = {"ladders": {"memory_leak": [{"action": "restart_service", "mode": "auto"}]}}


class RepairingGateway:
    """Answers with what tests set for a path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/v1/incidents": IncidentsView(items=SUMMARIES),
            f"/v1/incidents/{INCIDENT}": WHOLE,
            "/v1/recoveries": RecoveriesView(items=ENTRIES),
            "/v1/recovery/plan": RecoveryPlanView(at=at(0), items=(decision(Verdict.WITHHELD),)),
            "/v1/recovery/policy": httpx.Response(200, json=POLICY),
        }
        self.pause = PauseView(paused=False)
        self.requests: list[httpx.Request] = []

    def client(self) -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if path == "/v1/recovery/pause":
            return self._pausing(request)
        if path == "/v1/recovery/approvals":
            return self._answering(json.loads(request.content))
        answer = self.answers.get(path, problem(404, "not_found", "There is no such thing."))
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, text=answer.model_dump_json())

    @property
    def asked(self) -> dict[str, list[str]]:
        """The parameters of the last request."""
        query = self.requests[-1].url.params
        return {name: query.get_list(name) for name in query}

    def _pausing(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.pause = PauseView.of(RecoveryPause(**json.loads(request.content)))
        if request.method == "DELETE":
            self.pause = PauseView(paused=False)
        return httpx.Response(200, text=self.pause.model_dump_json())

    def _answering(self, body: dict[str, Any]) -> httpx.Response:
        if body["decision"] == "late":
            return problem(409, "conflict", "Too late: bob said no to late; the first answer counts.")
        return httpx.Response(200, json={**body, "incident": INCIDENT, "by": "anonymous", "at": at(1).isoformat()})


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, waggle: Waggle) -> RepairingGateway:
    """With a terminal on which no line is broken."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setenv("COLUMNS", "240")
    made = RepairingGateway()
    for module in ("recovery", "incidents"):
        monkeypatch.setattr(f"cli.{module}.gateway", made.client)
    return made


class TestIncidents:
    def test_the_list_says_where_each_stands_and_what_comes_next(self, gateway, waggle: Waggle) -> None:
        ran = waggle("incidents", "--since", "2h")
        _, held, comes, whole = ran.out.splitlines()
        assert "withheld" in held
        assert comes.strip() == "Held back by cooldown: it is decided anew from 2026-01-31 12:05:00 UTC on."
        assert "recovered" in whole
        assert whole.split()[-1] == INCIDENT
        assert {"+0:01", "+0:12", "+0:40"} <= set(whole.split())
        asked = datetime.fromisoformat(gateway.asked["since"][0])
        assert abs(datetime.now(UTC) - asked - timedelta(hours=2)) < timedelta(minutes=1)

    def test_only_open_ones_are_listed_on_demand(self, gateway, waggle: Waggle) -> None:
        assert [each["id"] for each in waggle("incidents", "--open", "--json").json["items"]] == ["i-2"]

    def test_one_is_a_story_with_relative_and_absolute_times(self, gateway, waggle: Waggle) -> None:
        lines = waggle("incidents", INCIDENT).out.splitlines()
        assert lines[0] == "service unavailable of embed embed-1: recovered"
        assert lines[1] == "embed-1 has missed 3 heartbeats"
        assert any(line.split()[0] == "repaired" and line.split()[-1] == "+0:40" for line in lines if line.strip())
        told = [line for line in lines if line.strip().startswith("+")]
        assert [line.split()[3] for line in told] == [
            "alert", "diagnosis", "decision", "action", "result", "diagnosis", "alert", "verification",
        ]  # fmt: skip
        assert all("2026-01-" in line or "2026-02-" in line for line in told)
        assert "24 bytes captured before: --captured" in told[4]
        assert "age of the last heartbeat: 10 s (threshold 9 s)" in "".join(lines)
        assert "next      Nothing: it is repaired." in lines

    def test_what_was_captured_is_shown_on_demand(self, gateway, waggle: Waggle) -> None:
        assert waggle("incidents", INCIDENT, "--captured").out.splitlines()[-1] == "the last line of its log"

    def test_json_is_what_the_gateway_says(self, gateway, waggle: Waggle) -> None:
        assert WHOLE is not None
        assert waggle("incidents", INCIDENT, "--json").json == WHOLE.model_dump(mode="json")
        assert len(waggle("incidents", "--json").json["items"]) == 2

    def test_an_incomplete_list_says_so(self, gateway, waggle: Waggle) -> None:
        gateway.answers["/v1/incidents"] = IncidentsView(items=(), complete=False)
        ran = waggle("incidents")
        assert (ran.out, "more to read" in ran.err) == ("No incidents.\n", True)

    def test_what_is_not_there_and_what_makes_no_sense_is_said(self, gateway, waggle: Waggle) -> None:
        assert waggle("incidents", "i-9").code == 1
        assert waggle("incidents", "../health").code == 1
        assert waggle("incidents", "--captured").code == 2
        assert waggle("incidents", "--since", "soon").code == 2

    def test_long_times_have_hours(self) -> None:
        assert elapsed(at(0), at(3725)) == "+1:02:05"


class TestTheLog:
    def test_every_kind_is_shown_with_what_came_out(self, gateway, waggle: Waggle) -> None:
        _, *lines = waggle("recovery", "log").out.splitlines()
        assert [line.split()[2] for line in lines] == ["decision", "command", "result", "verification", "approval"]
        decided, _, done, verified, answered = lines
        assert "act " in decided
        assert "restart service embed-1 (embed): it is silent" in decided
        assert "done" in done
        assert "recovered" in verified
        assert "yes" in answered

    def test_what_is_wanted_is_asked_for(self, gateway, waggle: Waggle) -> None:
        waggle(
            "recovery", "log", "--incident", "i-1", "--verdict", "withheld", "--verdict", "act", "--kind", "decision"
        )
        asked = gateway.asked
        assert (asked["incident"], asked["verdict"], asked["kind"]) == (["i-1"], ["withheld", "act"], ["decision"])

    def test_the_newest_are_shown_and_more_is_said(self, gateway, waggle: Waggle) -> None:
        ran = waggle("recovery", "log", "--limit", "2", "--json")
        assert ([each["kind"] for each in ran.json["items"]], ran.json["more"]) == (["verification", "approval"], True)
        assert "The last 2 are shown" in waggle("recovery", "log", "--limit", "2").err

    def test_an_empty_one_says_so(self, gateway, waggle: Waggle) -> None:
        gateway.answers["/v1/recoveries"] = RecoveriesView(items=())
        assert waggle("recovery", "log").out == "Nothing was decided or done.\n"


class TestThePause:
    def test_it_is_made_shown_and_ended(self, gateway, waggle: Waggle) -> None:
        assert waggle("recovery", "pause").out == "Not paused: the system repairs as its policy lets it.\n"
        made = waggle("recovery", "pause", "--for", "2h", "--because", "moving the index")
        assert made.out.startswith("Paused until ")
        assert ": moving the index. To end it before: waggle recovery resume" in made.out
        body = json.loads(gateway.requests[-1].content)
        assert body["claimed_by"].startswith("ada@")
        assert abs(datetime.fromisoformat(body["ends_at"]) - datetime.now(UTC) - timedelta(hours=2)) < timedelta(
            minutes=1
        )
        assert "replaces" not in made.err
        assert waggle("recovery", "pause", "--json").json["reason"] == "moving the index"
        again = waggle("recovery", "pause", "--for", "3h", "--because", "it takes longer")
        assert "replaces the one until" in again.err
        assert "moving the index" in again.err
        assert waggle("recovery", "resume").out == "Not paused: the system repairs as its policy lets it.\n"

    @pytest.mark.parametrize(
        "arguments",
        [("--because", "ever"), ("--for", "2h", "--until", "2026-01-31T18:00"), ("--for", "long"), ("--until", "late")],
    )
    def test_one_without_an_end_is_refused(self, gateway, waggle: Waggle, arguments: tuple[str, ...]) -> None:
        assert waggle("recovery", "pause", *arguments).code == 2
        assert gateway.requests == []


class TestAnswers:
    @pytest.mark.parametrize(("word", "approved"), [("approve", True), ("refuse", False)])
    def test_they_are_given_with_a_name_and_a_reason(self, gateway, waggle: Waggle, word: str, approved: bool) -> None:
        ran = waggle("recovery", word, "d-1", "--because", "looked at it")
        assert ran.code == 0
        assert f"waggle incidents {INCIDENT}" in ran.out
        body = json.loads(gateway.requests[-1].content)
        assert (body["decision"], body["approved"], body["reason"]) == ("d-1", approved, "looked at it")
        assert body["claimed_by"].startswith("ada@")
        assert waggle("recovery", word, "d-1", "--json").json["approved"] is approved

    def test_one_that_comes_too_late_is_exit_code_one(self, gateway, waggle: Waggle) -> None:
        ran = waggle("recovery", "approve", "late")
        assert (ran.code, "the first answer counts" in ran.err) == (1, True)


class TestWhatTheObserverSays:
    def test_the_policy_is_shown_as_its_file_has_it(self, gateway, waggle: Waggle) -> None:
        shown = waggle("recovery", "policy").out
        assert shown.splitlines()[:3] == ["ladders:", "  memory_leak:", "  - action: restart_service"]
        assert waggle("recovery", "policy", "--json").json == POLICY

    def test_a_dry_run_says_what_would_be_decided_and_what_holds_it(self, gateway, waggle: Waggle) -> None:
        head, line = waggle("recovery", "run", "--dry-run").out.splitlines()
        assert head.split()[:3] == ["cause", "sure", "verdict"]
        assert "withheld (cooldown)  restart service  embed-1 (embed)" in line
        assert len(waggle("recovery", "run", "--dry-run", "--json").json["items"]) == 1
        gateway.answers["/v1/recovery/plan"] = RecoveryPlanView(at=at(0))
        assert waggle("recovery", "run", "--dry-run").out == "Nothing would be decided.\n"

    def test_there_is_no_other_run(self, gateway, waggle: Waggle) -> None:
        ran = waggle("recovery", "run")
        assert (ran.code, "--dry-run" in ran.err, gateway.requests) == (2, True, [])

    def test_without_one_it_is_said(self, gateway, waggle: Waggle) -> None:
        gateway.answers["/v1/recovery/policy"] = problem(503, "temporarily_unavailable", "No observer leads.")
        ran = waggle("recovery", "policy")
        assert (ran.code, ran.err) == (1, "Error: No observer leads.\n")

"""`waggle alerts`, `rules ls`, `figures` and `diagnose`: what they ask the gateway, and what people are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.client import GatewayClient
from cli.figure_tables import number
from contracts.alert_views import AlertsView, HistoryView, RulesView
from contracts.diagnoses import Cause, DiagnosesView
from contracts.figures import FigureStatus
from tests.support.commands import Ran
from tests.support.leading_observers import ALERTS, DEAD, DIAGNOSES, EPISODES, FIGURES, HISTORY, RULES
from tests.unit.cli.gateways import problem

DEAD_FINGERPRINT = ALERTS.items[0].fingerprint
ABSENT = problem(503, "temporarily_unavailable", "No observer leads.")
Waggle = Callable[..., Ran]


class ObservedGateway:
    """Answers with what tests set for a path, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/v1/alerts": ALERTS,
            f"/v1/alerts/{DEAD_FINGERPRINT}": ALERTS.items[0],
            "/v1/alerts/history": HistoryView(items=HISTORY[:2]),
            "/v1/rules": RULES,
            "/v1/figures": FIGURES,
            "/v1/diagnoses": DIAGNOSES,
        }
        self.requests: list[httpx.Request] = []
        self.silences: dict[str, dict[str, Any]] = {}

    def client(self) -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path
        if path.startswith("/v1/silences"):
            return self._silences(request, path.rsplit("/", 1)[1])
        answer = self.answers.get(path, problem(404, "not_found", "There is no such thing."))
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, text=answer.model_dump_json())

    def asked(self, path: str) -> dict[str, list[str]]:
        """The parameters of the last request for a path."""
        query = next(r.url.params for r in reversed(self.requests) if r.url.path == path)
        return {name: query.get_list(name) for name in query}

    def _silences(self, request: httpx.Request, last: str) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"items": list(self.silences.values())})
        if request.method == "DELETE":
            ended = self.silences.pop(last, None)
            return (
                problem(404, "not_found", f"There is no silence {last}.")
                if ended is None
                else httpx.Response(200, json=ended)
            )
        body = json.loads(request.content)
        made = {"id": "s1", "state": "active", "starts_at": NOW.isoformat(), "created_by": "anonymous", **body}
        self.silences["s1"] = made
        return httpx.Response(201, json=made)


NOW = datetime.now(UTC)


@pytest.fixture
def observed(monkeypatch: pytest.MonkeyPatch) -> ObservedGateway:
    made = ObservedGateway()
    for module in ("alerts", "silencing", "rules", "figures", "diagnose"):
        monkeypatch.setattr(f"cli.{module}.gateway", made.client)
    return made


def test_alerts_are_listed_and_chosen(observed: ObservedGateway, waggle: Waggle) -> None:
    ran = waggle("alerts", "ls", "--severity", "critical", "-f", "service=embed")
    assert observed.asked("/v1/alerts") == {
        "state": ["pending", "firing"],
        "severity": ["critical"],
        "filter": ['service="embed"'],
    }
    assert ran.code == 0
    assert all(part in ran.out for part in ("InstanceDead", "(silenced)", "instance=embed-1", DEAD_FINGERPRINT))
    assert [a["state"] for a in waggle("alerts", "ls", "--json").json["items"]] == [str(a.state) for a in ALERTS.items]
    observed.answers["/v1/alerts"] = AlertsView(items=())
    assert waggle("alerts", "ls", "--state", "resolved").out == "No alerts.\n"
    assert observed.asked("/v1/alerts")["state"] == ["resolved"]
    wrong = waggle("alerts", "ls", "-f", "severity")
    assert (wrong.code, "is not a matcher" in wrong.err) == (2, True)


def test_an_alert_is_shown_by_fingerprint_or_name(observed: ObservedGateway, waggle: Waggle) -> None:
    ran = waggle("alerts", "show", DEAD_FINGERPRINT)
    assert all(part in ran.out for part in ("InstanceDead of embed", "silenced by", "s1", "fleet.yaml"))
    assert len(waggle("alerts", "show", 'Instance"Dead', "--json").json["items"]) == len(ALERTS.items)
    assert observed.asked("/v1/alerts") == {"filter": ['alertname="Instance\\"Dead"']}
    observed.answers["/v1/alerts"] = AlertsView(items=())
    missing = waggle("alerts", "show", "Nothing")
    assert (missing.code, "waggle alerts history" in missing.err) == (1, True)
    assert waggle("alerts", "show", "0" * 16).code == 1


def test_history_is_read_to_its_end_and_its_newest_are_shown(observed: ObservedGateway, waggle: Waggle) -> None:
    pages = {
        "0": HistoryView(items=HISTORY[:1], next="7"),
        "7": HistoryView(items=(), next="9"),
        "9": HistoryView(items=HISTORY[1:2]),
    }
    observed.handle = lambda request: httpx.Response(  # type: ignore[method-assign]
        200, text=pages[request.url.params["cursor"]].model_dump_json()
    )
    ran = waggle("alerts", "history", "--since", "7d")
    assert (ran.code, ran.out.index("QueriesSlow") < ran.out.index("InstanceDead")) == (0, True)
    assert "5 min" in ran.out
    cut = waggle("alerts", "history", "--limit", "1", "--json").json
    assert ([entry["labels"] for entry in cut["items"]], cut["more"]) == ([DEAD], True)


def test_history_is_asked_for_as_it_is_said(observed: ObservedGateway, waggle: Waggle) -> None:
    waggle("alerts", "history", "--since", "2026-01-01T00:00Z", "--until", "2026-01-02T00:00Z", "-f", "a=b")
    asked = observed.asked("/v1/alerts/history")
    assert [datetime.fromisoformat(asked[name][0]) for name in ("start", "end")] == [
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 2, tzinfo=UTC),
    ]
    assert (asked["kind"], asked["filter"]) == (["alert"], ['a="b"'])
    observed.answers["/v1/alerts/history"] = HistoryView(items=HISTORY[2:])
    ran = waggle("alerts", "history", "--notifications", "--channel", "ops-mail")
    assert all(part in ran.out for part in ("ops-mail", "alertname=InstanceDead", "first", "delivered", "250 accepted"))
    assert observed.asked("/v1/alerts/history")["channel"] == ["ops-mail"]


def test_a_silence_says_what_it_mutes(observed: ObservedGateway, waggle: Waggle) -> None:
    observed.answers["/v1/alerts"] = AlertsView(items=ALERTS.items[:1])
    ran = waggle(
        "alerts", "silence", "alertname=InstanceDead", "service=~embed|ingest", "--for", "2h", "--comment", "disks"
    )
    assert "mutes 1 alert of now" in ran.out
    assert "waggle alerts unsilence s1" in ran.out
    assert "repairs nothing" not in ran.out  # it is of one alert
    (made,) = observed.silences.values()
    assert made["matchers"] == ['alertname="InstanceDead"', 'service=~"embed|ingest"']
    assert made["comment"] == "disks"
    lasts = datetime.fromisoformat(made["ends_at"]) - NOW
    assert timedelta(hours=2) <= lasts < timedelta(hours=3)
    assert observed.asked("/v1/alerts") == {"filter": made["matchers"], "state": ["pending", "firing"]}
    assert "Idempotency-Key" in observed.requests[-1].headers
    assert "disks" in waggle("alerts", "silences").out
    ran = waggle("alerts", "unsilence", "s1", "../rules")
    assert (ran.code, "✓ s1  ended" in ran.out, "✗ ../rules  There is no silence" in ran.out) == (1, True, True)
    assert waggle("alerts", "silences").out == "No silences.\n"


def test_a_silence_of_a_part_of_the_fleet_says_that_it_is_not_repaired(
    observed: ObservedGateway, waggle: Waggle
) -> None:
    assert "repairs nothing of what it names" in waggle("alerts", "silence", "service=embed", "--for", "2h").out
    assert "repairs nothing" not in waggle("alerts", "silence", "severity=info", "--for", "2h").out


def test_a_silence_is_made_for_maintenance_tried_out_and_made_without_an_observer(
    observed: ObservedGateway, waggle: Waggle
) -> None:
    tried = waggle("alerts", "silence", "severity=info", "--for", "1h", "--dry-run", "--json").json
    assert (tried["silence"], len(tried["mutes"]), observed.silences) == (None, 4, {})
    observed.answers["/v1/alerts"] = ABSENT
    ran = waggle("alerts", "silence", "severity=info", "--from", "2999-01-01T10:00Z", "--until", "2999-01-01T12:00Z")
    (made,) = observed.silences.values()
    assert (ran.code, "no observer answers" in ran.err) == (0, True)
    assert datetime.fromisoformat(made["starts_at"]) == datetime(2999, 1, 1, 10, tzinfo=UTC)
    assert made["comment"].startswith("by ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("silence", "a=b"), "a silence has an end"),
        (("silence", "a=b", "--for", "1h", "--until", "2999-01-01"), "a silence has an end"),
        (("silence", "a=b", "--for", "soon"), "not a duration"),
        (("silence", "a=b", "--for", "0s"), "longer than nothing"),
        (("silence", "a=b", "--until", "tomorrow"), "is not a time"),
        (("silence", "a=b", "--until", "2001-01-01"), "end before it begins"),
        (("silence", "a", "--for", "1h"), "is not a matcher"),
        (("silence", 'a=~"("', "--for", "1h"), "not a valid regular expression"),
        (("history", "--notifications", "--severity", "info"), "about alerts"),
        (("history", "--channel", "ops"), "--notifications"),
    ],
)
def test_wrong_usage_is_said_before_anybody_is_asked(
    observed: ObservedGateway, waggle: Waggle, arguments: tuple[str, ...], said: str
) -> None:
    ran = waggle("alerts", *arguments)
    assert (ran.code, said in ran.err, observed.requests) == (2, True, []), ran.err


def test_rules_are_listed_with_what_is_wrong_with_them(observed: ObservedGateway, waggle: Waggle) -> None:
    ran = waggle("rules", "ls")
    assert ran.code == 1
    assert all(part in ran.out for part in ("InstanceDead", "1 firing, 1 resolved", "many-to-many matching", "5m"))
    assert "Refused: mine.yaml:7: a rule needs an expression" in ran.err
    assert [group["name"] for group in waggle("rules", "ls", "--json").json["groups"]] == ["fleet", "queries"]
    observed.answers["/v1/rules"] = RulesView(groups=RULES.groups[1:])
    assert waggle("rules", "ls").code == 0


def test_figures_are_shown_by_layer_and_checked(observed: ObservedGateway, waggle: Waggle) -> None:
    ran = waggle("figures")
    assert ran.code == 0
    for part in (
        "application  warning",
        "2.5 s",
        "> 5 s",
        "99.95 %",
        "< 99 %",
        "no data",
        "Memory, h1",
        "business  unknown",
        "1 of 2",
        "95 %",
    ):
        assert part in ran.out
    assert "keeper     1 " in ran.out, "it runs, and is not yet expected"
    assert waggle("figures", "--check").code == 1
    service = waggle("figures", "--check", "--layer", "service", "--json")
    assert (service.code, [figure["name"] for figure in service.json["items"]]) == (0, ["availability"])
    observed.answers["/v1/figures"] = ABSENT
    away = waggle("figures", "--check")
    assert (away.code, "No observer leads." in away.err) == (1, True)


def test_diagnoses_are_ranked_with_their_evidence(observed: ObservedGateway, waggle: Waggle) -> None:
    ran = waggle("diagnose")
    assert (ran.code, observed.asked("/v1/diagnoses")) == (0, {})
    for part in (
        "1. backend connection lost of index  88 % sure",
        "No instance of retrieve can use index.",
        "Might help: restart service, failover",
        "instance=retrieve-1",
        "2. high error rate of retrieve",
        "Comes from: backend connection lost of index",
        "29 %",
        "5 %",
    ):
        assert part in ran.out
    assert [item["cause"] for item in waggle("diagnose", "--json").json["items"]] == [
        "backend_connection_lost",
        "high_error_rate",
    ]


def test_the_past_and_the_history_of_diagnoses_are_asked_for(observed: ObservedGateway, waggle: Waggle) -> None:
    assert waggle("diagnose", "--at", "2026-01-31T12:00Z").code == 0
    assert datetime.fromisoformat(observed.asked("/v1/diagnoses")["at"][0]) == DIAGNOSES.at
    assert waggle("diagnose", "--at", "90m").code == 0
    ago = datetime.now(UTC) - datetime.fromisoformat(observed.asked("/v1/diagnoses")["at"][0])
    assert timedelta(minutes=90) <= ago < timedelta(minutes=95)

    observed.answers["/v1/diagnoses"] = EPISODES
    ran = waggle("diagnose", "--since", "7d")
    assert "since" in observed.asked("/v1/diagnoses")
    assert all(part in ran.out for part in ("goes on", "3 min", "(a consequence)"))
    assert len(waggle("diagnose", "--since", "7d", "--json").json["items"]) == 2
    both = waggle("diagnose", "--since", "7d", "--at", "1h")
    assert (both.code, "takes no --at" in both.err) == (2, True)
    assert waggle("diagnose", "--at", "noon-ish").code == 2


def test_that_nothing_is_found_is_not_said_of_what_could_not_be_looked_for(
    observed: ObservedGateway, waggle: Waggle
) -> None:
    observed.answers["/v1/diagnoses"] = DiagnosesView(at=DIAGNOSES.at, unjudged=(Cause.MEMORY_LEAK,))
    ran = waggle("diagnose")
    assert ran.out == "No cause is found.\n"
    assert "Could not be looked for: memory leak." in ran.err
    observed.answers["/v1/diagnoses"] = ABSENT
    assert waggle("diagnose").code == 1


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (None, "s", ""), (0.0, "s", "0 s"), (2e-5, "s", "20 µs"), (0.25, "s", "250 ms"), (2.5, "s", "2.5 s"), (150.0, "s", "2 min"),
        (0.9995, "1", "99.95 %"), (1536.0, "By", "1.5 KiB"), (3.25, "{query}/s", "3.25 query/s"), (7.0, "", "7"),
        (10_000.0, "{message}", "10000 message"), (1_234.5, "{query}/h", "1234 query/h"),
    ],
)  # fmt: skip
def test_values_are_written_in_their_units(value: float | None, unit: str, expected: str) -> None:
    assert number(value, unit) == expected


def test_the_worst_status_is_what_should_be_looked_at_first() -> None:
    healthy, unknown, warning = FigureStatus.HEALTHY, FigureStatus.UNKNOWN, FigureStatus.WARNING
    assert FigureStatus.worst([healthy, unknown]) is unknown
    assert FigureStatus.worst([unknown, warning, healthy]) is warning
    assert FigureStatus.worst([]) is unknown

"""`waggle notify`: a file is checked, a route asked, a test sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

FILE = """
route:
  receiver: team
  routes:
    - {matchers: ['severity="critical"'], receiver: pager, group_by: [alertname]}
receivers: [{name: team, channels: []}, {name: pager, channels: [hook]}]
channels:
  hook: {kind: webhook, url: 'ADDRESS', secret: {env: TESTED_HOOK_SECRET}}
  chat: {kind: slack, url: {env: TESTED_SLACK_URL}, timeout: 500ms}
"""
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Hook(ThreadingHTTPServer):
    daemon_threads = True
    status = 200
    received: list[bytes]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received = []


class Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("TESTED_HOOK_SECRET", SECRET)
    monkeypatch.setenv("WAGGLE_NOTIFY_ALLOWED_NETWORKS", "127.0.0.0/8")
    path = tmp_path / "notifications.yaml"
    path.write_text(FILE.replace("ADDRESS", f"http://127.0.0.1:{hook.server_port}/alerts"))
    return str(path)


def test_a_test_is_sent_through_the_real_channel(waggle, file: str, hook: Hook) -> None:
    ran = waggle("notify", "test", "hook", "--config", file)

    assert ran.code == 0
    assert "Delivered through hook (webhook)" in ran.out
    assert json.loads(hook.received[0])["alerts"][0]["labels"]["alertname"] == "WaggleTest"


def test_the_setting_names_the_file_where_no_option_does(waggle, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NOTIFY_CONFIG", file)

    ran = waggle("notify", "test", "hook", "--json")

    assert ran.code == 0
    assert json.loads(ran.out)["delivered"] is True


def test_what_was_not_delivered_is_exit_code_one_with_the_reason(waggle, file: str, hook: Hook) -> None:
    hook.status = 403

    ran, as_json = (
        waggle("notify", "test", "hook", "--config", file),
        waggle("notify", "test", "hook", "--config", file, "--json"),
    )

    assert (ran.code, as_json.code) == (1, 1)
    assert "HTTP 403" in ran.err
    assert json.loads(as_json.out) | {"took_s": 0} == {
        "channel": "hook", "kind": "webhook", "took_s": 0, "delivered": False, "said": "HTTP 403", "final": True, "in_doubt": False
    }  # fmt: skip


def test_an_address_that_is_not_allowed_names_the_setting(
    waggle, file: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WAGGLE_NOTIFY_ALLOWED_NETWORKS")

    ran = waggle("notify", "test", "hook", "--config", file)

    assert ran.code == 1
    assert "WAGGLE_NOTIFY_ALLOWED_NETWORKS" in ran.err
    assert hook.received == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["test", "pigeon", "--config", "FILE"], "There are: chat, hook"),
        (["test", "hook"], "WAGGLE_NOTIFY_CONFIG"),
        (["test", "hook", "--config", "/nonexistent.yaml"], "cannot be read"),
        (["route", "FILE", "severity"], "name=value"),
    ],
)
def test_wrong_usage_is_exit_code_two_with_what_to_do(waggle, file: str, arguments: list[str], said: str) -> None:
    ran = waggle("notify", *(file if argument == "FILE" else argument for argument in arguments))

    assert ran.code == 2
    assert said in ran.err


def test_a_good_file_shows_its_routes_and_channels_and_no_secret(waggle, file: str) -> None:
    ran, as_json = waggle("notify", "check", file), waggle("notify", "check", file, "--json")

    assert (ran.code, as_json.code) == (0, 0)
    assert 'severity="critical" → pager (hook)' in ran.out
    assert "none: never used" in ran.out
    assert "TESTED_SLACK_URL" in ran.err
    assert json.loads(as_json.out)["route"]["routes"][0]["receiver"] == "pager"
    assert SECRET not in ran.out + ran.err + as_json.out


def test_a_bad_file_is_exit_code_two_with_file_line_and_reason(waggle, file: str) -> None:
    path = Path(file)
    path.write_text(path.read_text().replace("receiver: pager", "receiver: x"))

    ran = waggle("notify", "check", file)

    assert ran.code == 2
    assert f"{file}:5: route.routes.0.receiver: there is no receiver 'x'" in ran.err


def test_who_is_told_of_an_alert_is_said(waggle, file: str) -> None:
    ran = waggle("notify", "route", file, "alertname=Down", "severity=critical")
    nobody = waggle("notify", "route", file, "alertname=Down", "--json")

    assert 'pager through hook\n  group {}/{severity="critical"}:{alertname="Down"}' in ran.out
    assert json.loads(nobody.out)["items"][0] == {
        "receiver": "team", "channels": [], "route": "{}", "group": "{}:{}", "muted_by": None
    }  # fmt: skip

"""The file of routes and receivers: read whole, or refused with file, line and reason."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observability.notifications.configuration import (
    SecretReference,
    TimeInterval,
    format_duration,
    load_config,
    parse_config,
    parse_duration,
)
from observability.notifications.configuration.located_yaml import read_yaml
from observability.notifications.configuration.secrets import MAX_BYTES
from observability.notifications.errors import NotificationConfigError, SecretMissingError

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take its time."""

GOOD = """\
route:
  receiver: team
  group_by: [alertname]
  routes:
    - matchers: ['severity="critical"', 'team=~"search|ranking"']
      receiver: pager
      group_wait: 10s
      mute_time_intervals: [weekends]
receivers:
  - name: team
    channels: [mail]
  - name: pager
    channels: [hook, mail]
channels:
  mail:
    kind: email
    host: smtp.example.org
    user: waggle
    password: {env: SMTP_PASSWORD}
    sender: waggle@example.org
    to: [oncall@example.org]
  hook:
    kind: webhook
    url: https://hooks.example.org/waggle
    secret: {file: /run/secrets/hook}
time_intervals:
  - name: weekends
    time_intervals: [{weekdays: ['saturday:sunday']}]
"""


def problem_of(text: str) -> str:
    with pytest.raises(NotificationConfigError) as raised:
        parse_config(text, name="n.yaml")
    return str(raised.value)


def test_a_good_file_is_read() -> None:
    config = parse_config(GOOD)

    assert config.route.routes[0].group_wait == timedelta(seconds=10)
    assert config.channels["mail"].kind == "email"
    assert config.receiver("pager").channels == ("hook", "mail")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("receiver: pager", "receiver: nobody", "n.yaml:6: route.routes.0.receiver: there is no receiver 'nobody'"),
        ("channels: [mail]", "channels: [post]", "n.yaml:11: receivers.0.channels.0: there is no channel 'post'"),
        ("[hook, mail]", "[hook, hook]", "n.yaml:13: receivers.1.channels: names a channel twice"),
        ("  - name: pager", "  - name: team", "n.yaml:12: receivers.1.name: 'team' is defined twice"),
        ("group_wait: 10s", "group_wait: soon", "n.yaml:7: route.routes.0.group_wait: 'soon' is not a duration"),
        ("group_wait: 10s", "group_wait: 10", "n.yaml:7: route.routes.0.group_wait: 10 is not a duration"),
        ("group_wait: 10s", "group_whale: 10s", "n.yaml:7: route.routes.0.group_whale: Extra inputs are not permitted"),
        (
            "'severity=\"critical\"'",
            "'severity critical'",
            "n.yaml:5: route.routes.0.matchers: 'severity critical' is not",
        ),
        ("search|ranking", "search(", "is not a valid regular expression"),
        ("[weekends]", "[holidays]", "n.yaml:8: route.routes.0.mute_time_intervals.0: there is no time interval"),
        ("saturday:sunday", "caturday", "'caturday' is none of monday to sunday"),
        ("kind: email", "kind: pigeon", "n.yaml:15: channels.mail: Input tag 'pigeon'"),
        ("    host: smtp.example.org\n", "", "channels.mail.email.host: Field required"),
        ("waggle@example.org", "waggle", "n.yaml:20: channels.mail.email.sender: 'waggle' is not a mail address"),
        ("oncall@example.org", '"a@b.example\\nBcc: c@d.example"', "is not a mail address"),
        ("{env: SMTP_PASSWORD}", "hunter2", "channels.mail.email.password: a secret is not written into this file"),
        ("{env: SMTP_PASSWORD}", "{env: A, file: /b}", "names either env or file"),
        ("https://hooks.example.org/waggle", "ftp://hooks.example.org", "is not an address that begins with http"),
        ("https://hooks.example.org/waggle", "https://u:p@hooks.example.org", "holds a user name or password"),
        ("https://hooks.example.org/waggle", "https://hooks.example.org?key=x", "give it as {env: NAME}"),
        ("  receiver: team\n  group_by", "  group_by", "the first route names a receiver"),
        ("  receiver: team\n", "  receiver: team\n  receiver: pager\n", "n.yaml:3: receiver is given twice"),
        ("  receiver: team\n", "  receiver: team\n  continue: true\n", "the first route takes everything"),
        ("[alertname]", "[alert-name]", "n.yaml:3: route.group_by: 'alert-name' is not a label's name"),
        ("channels:\n  mail:", "channels: &all\n  mail: *all\n  post:", "is not YAML|uses an alias"),
        ("route:", "route: [", "is not YAML"),
        ("route:", "? [a, b]\n: c\nroute:", "has a key that is no text"),
        ("    host: smtp.example.org", "    tls: none\n    host: smtp.example.org", "in the clear"),
        ("    user: waggle\n", "", "user and password are given together"),
        (
            "search|ranking",
            "x" * 1000 + "\"', 'b=\"" + "y" * 100,
            "its matchers are longer than 1024 characters together",
        ),
    ],
)
def test_a_bad_file_is_refused_with_line_and_reason(old: str, new: str, said: str) -> None:
    assert GOOD.count(old) >= 1

    problem = problem_of(GOOD.replace(old, new, 1))

    assert any(alternative in problem for alternative in said.split("|")), problem
    assert problem.startswith("n.yaml:")


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = GOOD.replace("receiver: pager", "receiver: x").replace("channels: [mail]", "channels: [y]")

    assert len(problem_of(text).splitlines()) == 2


def test_a_secret_that_stands_in_the_file_is_not_quoted() -> None:
    text = GOOD.replace("{env: SMTP_PASSWORD}", "hunter2")

    assert "hunter2" not in problem_of(text)
    assert "hunter2" not in problem_of(text.replace("host: smtp.example.org", "host: [1]"))


@pytest.mark.parametrize(
    "text", ["", "[]", "just words", "[" * 100_000, "a: " * 3, "\x00", "a: !!python/object:os.system x"]
)
def test_what_is_no_such_file_is_refused(text: str) -> None:
    assert problem_of(text).startswith("n.yaml:")


def test_aliases_cannot_make_a_small_file_large() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]

    assert "uses an alias" in problem_of("\n".join(lines))


@RELAXED
@given(st.text(alphabet="ab:-[]{}'\"&*!|>%\n \t#0", max_size=60))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with suppress(NotificationConfigError):
        parse_config(text)


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, said in (("missing", "cannot be read"), ("binary", "not text in UTF-8")):
        with pytest.raises(NotificationConfigError, match=said):
            load_config(tmp_path / name)


def test_lines_are_those_of_the_keys() -> None:
    located = read_yaml("a:\n  b:\n    - c: 1\n    - d: 2\n")

    assert located.line_of(("a", "b", 1, "d")) == 4
    assert located.line_of(("a", "b", "kind", 1, "missing")) == 4


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("7d", 604800), ("0s", 0), ("50ms", 0.05)]
    )
    def test_are_written_as_in_prometheus(self, text: str, seconds: float) -> None:
        assert parse_duration(text).total_seconds() == seconds
        assert parse_duration(format_duration(parse_duration(text))) == parse_duration(text)

    @pytest.mark.parametrize("text", ["", "5", "m", "5 m", "-5m", "1m1h", "5x", "٣s", "999999999y", "9" * 30 + "s"])
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"duration|longer"):
            parse_duration(text)

    @RELAXED
    @given(st.integers(0, 300 * 86400 * 1000))
    def test_are_read_as_they_are_written(self, milliseconds: int) -> None:
        duration = timedelta(milliseconds=milliseconds)
        assert parse_duration(format_duration(duration)) == duration


class TestSecrets:
    def test_are_read_anew_at_each_use(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "secret"
        reference = SecretReference(file=file)
        for secret in ("one", "two"):
            file.write_text(f"{secret}\n")
            assert reference.read() == secret

    @pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff", b"x" * (MAX_BYTES + 1)])
    def test_that_are_none_are_named_by_their_place(self, tmp_path: Path, content: bytes | None) -> None:
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(SecretMissingError, match=re.escape(str(file))):
            SecretReference(file=file).read()


class TestTimeIntervals:
    @staticmethod
    def interval(**parts: object) -> TimeInterval:
        return TimeInterval.model_validate({"name": "tested", "time_intervals": [parts]})

    @pytest.mark.parametrize(
        ("parts", "moment", "holds"),
        [
            ({"times": [{"start_time": "09:00", "end_time": "17:00"}]}, "2026-06-01T09:00", True),
            ({"times": [{"start_time": "09:00", "end_time": "17:00"}]}, "2026-06-01T17:00", False),
            ({"times": [{"start_time": "20:00", "end_time": "24:00"}]}, "2026-06-01T23:59", True),
            ({"weekdays": ["monday:friday"]}, "2026-06-01T12:00", True),  # a Monday
            ({"weekdays": ["saturday:monday"]}, "2026-06-01T12:00", True),
            ({"weekdays": ["saturday", "sunday"]}, "2026-06-01T12:00", False),
            ({"days_of_month": ["1:5"]}, "2026-06-05T12:00", True),
            ({"days_of_month": ["-1"]}, "2026-02-28T12:00", True),
            ({"days_of_month": ["-1"]}, "2028-02-28T12:00", False),
            ({"days_of_month": ["-3:-1"]}, "2026-06-28T12:00", True),
            ({"days_of_month": ["31"]}, "2026-06-30T12:00", False),
            ({"months": ["june:august"]}, "2026-06-01T12:00", True),
            ({"months": ["7"]}, "2026-06-01T12:00", False),
            ({"years": ["2025:2026"]}, "2026-06-01T12:00", True),
            (
                {"location": "Europe/Berlin", "times": [{"start_time": "00:00", "end_time": "01:00"}]},
                "2026-05-31T22:30",
                True,
            ),
            ({"location": "Asia/Shanghai", "weekdays": ["monday"]}, "2026-05-31T16:00", True),
            ({"weekdays": ["monday"], "months": ["may"]}, "2026-06-01T12:00", False),
            ({}, "2026-06-01T12:00", True),
        ],
    )
    def test_hold_when_all_that_is_given_does(self, parts: dict[str, object], moment: str, holds: bool) -> None:
        assert self.interval(**parts).holds(datetime.fromisoformat(moment).replace(tzinfo=UTC)) is holds

    def test_daylight_saving_is_the_places_own(self) -> None:
        nights = self.interval(location="Europe/Berlin", times=[{"start_time": "00:00", "end_time": "06:00"}])
        assert nights.holds(datetime(2026, 1, 1, 4, 30, tzinfo=UTC))  # 05:30 in winter
        assert not nights.holds(datetime(2026, 7, 1, 4, 30, tzinfo=UTC))  # 06:30 in summer

    @pytest.mark.parametrize(
        "parts",
        [
            {"times": [{"start_time": "17:00", "end_time": "09:00"}]},
            {"times": [{"start_time": "24:30", "end_time": "25:00"}]},
            {"times": [{"start_time": 540, "end_time": "17:00"}]},
            {"days_of_month": ["0"]},
            {"days_of_month": ["5:1"]},
            {"months": ["13"]},
            {"weekdays": []},
            {"location": "Mars/Olympus"},
            {"location": "../../etc/passwd"},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, parts: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"\S"):
            self.interval(**parts)

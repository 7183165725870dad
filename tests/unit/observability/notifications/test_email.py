"""Mail, by real SMTP servers, also such that stop in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from observability.notifications.channels import Notifier
from observability.notifications.channels.attempt import attempt
from observability.notifications.channels.email import mail
from observability.notifications.configuration import EmailModel
from tests.support.certificates import Certificates
from tests.support.mail_servers import PASSWORD, USER, MailServer, Phase, StoppingMailServer
from tests.unit.observability.notifications.examples import alert, notification
from tests.unit.observability.notifications.http_contract import notifier_of
from tests.unit.observability.notifications.notifier_contract import (
    AGAIN,
    FINAL,
    IN_DOUBT,
    PATIENT_S,
    SHORT_S,
    NotifierContract,
    failure_of,
    kind_of,
    silent_port,
    unused_port,
)

FIRST, SECOND = "first@example.org", "second@example.org"


def model(port: int, **options: Any) -> dict[str, Any]:
    to = {"sender": "waggle@example.org", "to": [FIRST, SECOND], "timeout": "2m"}
    return {"kind": "email", "host": "127.0.0.1", "port": port, "tls": "none", **to, **options}


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer.running() as server:
        yield server


class TestEmail(NotifierContract):
    @pytest.fixture
    async def notifier(self, server: MailServer) -> AsyncIterator[Notifier]:
        self.server = server
        notifier = notifier_of(model(server.port), allowed_networks=())  # a mail server may well be a private one
        yield notifier
        await notifier.close()

    @pytest.fixture
    async def away(self) -> AsyncIterator[Notifier]:
        notifier = notifier_of(model(unused_port()))
        yield notifier
        await notifier.close()

    @pytest.fixture
    def deaf(self) -> Iterator[Notifier]:
        with silent_port() as port:
            yield notifier_of(model(port, timeout="500ms"))

    @pytest.fixture
    async def stuck(self) -> AsyncIterator[Notifier]:
        async with StoppingMailServer.running(Phase.MESSAGE, hangs=True) as server:
            yield notifier_of(model(server.port))

    def taken(self) -> int:
        return len(self.server.mails)

    async def test_the_message_has_text_and_html_for_every_recipient(
        self, notifier: Notifier, server: MailServer
    ) -> None:
        await notifier.send(notification(alert(service="embed")))

        got = server.mails[0]
        assert got.recipients == (FIRST, SECOND)
        assert got.message["subject"] == "[FIRING 1] HighErrorRate (service=embed, severity=critical)"
        text, html = (_part(got.message, kind) for kind in ("plain", "html"))
        assert "HighErrorRate is too high" in text
        assert '<a href="https://docs.example/runbooks/x">Runbook</a>' in html

    async def test_repeated_attempts_have_one_message_id_and_groups_one_thread(
        self, notifier: Notifier, server: MailServer
    ) -> None:
        message, later = notification(alert()), notification(resolved=(alert(minutes=3),))

        for each in (message, message, later):
            await notifier.send(each)

        ids = [got.message["message-id"] for got in server.mails]
        assert ids[0] == ids[1] != ids[2]
        assert len({got.message["references"] for got in server.mails}) == 1

    async def test_a_refused_recipient_does_not_keep_the_others_from_their_message(
        self, notifier: Notifier, server: MailServer
    ) -> None:
        server.replies[FIRST] = ["550 no such user"]

        said = await notifier.send(notification())

        assert [got.recipients for got in server.mails] == [(SECOND,)]
        assert "first@example.org (550 no such user)" in said

    async def test_a_greylisted_recipient_is_tried_again_alone(self, notifier: Notifier, server: MailServer) -> None:
        server.replies[SECOND] = ["451 come back later"]

        assert kind_of(await failure_of(notifier)) == AGAIN
        await notifier.send(notification())

        assert [got.recipients for got in server.mails] == [(FIRST,), (SECOND,)]

    async def test_a_message_that_is_greylisted_whole_is_tried_again(
        self, notifier: Notifier, server: MailServer
    ) -> None:
        server.replies = {FIRST: ["451 later"], SECOND: ["451 later"]}

        assert kind_of(await failure_of(notifier)) == AGAIN
        await notifier.send(notification())

        assert [got.recipients for got in server.mails] == [(FIRST, SECOND)]

    async def test_refusing_every_recipient_is_final(self, notifier: Notifier, server: MailServer) -> None:
        server.replies = {FIRST: ["550 no"], SECOND: ["550 no"]}

        assert kind_of(await failure_of(notifier)) == FINAL

    @pytest.mark.parametrize(("reply", "kind"), [("451 busy", AGAIN), ("554 spam", FINAL)])
    async def test_a_refused_message_is_tried_again_as_the_code_says(
        self, notifier: Notifier, server: MailServer, reply: str, kind: str
    ) -> None:
        server.data_replies = [reply]

        error = await failure_of(notifier)

        assert kind_of(error) == kind
        assert reply in str(error)

    async def test_the_next_message_reaches_those_that_were_served_before(
        self, notifier: Notifier, server: MailServer
    ) -> None:
        server.replies[SECOND] = ["451 later"]
        await failure_of(notifier)

        await notifier.send(notification(alert("Other")))

        assert server.mails[-1].recipients == (FIRST, SECOND)


class TestServersThatStop:
    @pytest.mark.parametrize("phase", [Phase.GREETING, Phase.HELLO, Phase.SENDER, Phase.RECIPIENT, Phase.DATA])
    async def test_one_that_hangs_is_given_up(self, phase: Phase) -> None:
        async with StoppingMailServer.running(phase, hangs=True) as server:
            notifier = notifier_of(model(server.port))
            await failure_of(notifier, timeout_s=SHORT_S)
            await notifier.close()
            assert server.messages == 0

    @pytest.mark.parametrize("phase", [Phase.GREETING, Phase.HELLO])
    async def test_one_that_breaks_off_before_the_message_has_got_nothing(self, phase: Phase) -> None:
        async with StoppingMailServer.running(phase, hangs=False) as server:
            notifier = notifier_of(model(server.port))
            assert kind_of(await failure_of(notifier)) == AGAIN
            await notifier.close()

    @pytest.mark.parametrize("phase", [Phase.SENDER, Phase.RECIPIENT, Phase.DATA, Phase.MESSAGE])
    async def test_one_that_breaks_off_over_the_message_leaves_it_in_doubt(self, phase: Phase) -> None:
        async with StoppingMailServer.running(phase, hangs=False) as server:
            notifier = notifier_of(model(server.port))
            assert kind_of(await failure_of(notifier)) == IN_DOUBT
            assert server.messages == (1 if phase is Phase.MESSAGE else 0)
            await notifier.close()

    @pytest.mark.parametrize("hangs", [True, False])
    async def test_the_farewell_does_not_matter(self, hangs: bool) -> None:
        async with StoppingMailServer.running(Phase.FAREWELL, hangs=hangs) as server:
            notifier = notifier_of(model(server.port))
            assert await attempt(notifier, notification(), timeout_s=PATIENT_S)
            assert server.messages == 1
            await notifier.close()


class TestEncryption:
    @pytest.fixture
    def files(self, tmp_path: Path) -> Certificates:
        return Certificates.made(tmp_path, "mail.test")

    @staticmethod
    def notifier(port: int, files: Certificates | None, *, host: str = "mail.test", **options: Any) -> Notifier:
        async def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        trusted = {"tls_ca": str(files.authority)} if files else {}
        return notifier_of(model(port, host=host, **trusted, **options), resolve=resolve)

    @pytest.mark.parametrize("mode", ["tls", "starttls"])
    async def test_a_message_goes_encrypted_with_user_and_password(
        self, files: Certificates, mode: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SMTP_PASSWORD", PASSWORD)
        async with encrypted_server(mode, files, asks_password=True) as server:
            notifier = self.notifier(server.port, files, tls=mode, user=USER, password={"env": "SMTP_PASSWORD"})
            await attempt(notifier, notification(), timeout_s=PATIENT_S)
            assert server.logins == [USER]
            assert len(server.mails) == 1
            await notifier.close()

    @pytest.mark.parametrize("mode", ["tls", "starttls"])
    @pytest.mark.parametrize(("host", "trusts"), [("other.test", True), ("mail.test", False)])
    async def test_a_certificate_of_another_or_of_nobody_known_gets_no_message(
        self, files: Certificates, mode: str, host: str, trusts: bool
    ) -> None:
        async with encrypted_server(mode, files) as server:
            notifier = self.notifier(server.port, files if trusts else None, host=host, tls=mode)
            error = await failure_of(notifier)
            assert "certificate" in str(error).lower()
            assert not server.mails
            await notifier.close()

    async def test_a_server_without_starttls_gets_no_message(self) -> None:
        async with MailServer.running() as server:
            notifier = self.notifier(server.port, None, tls="starttls")
            assert kind_of(await failure_of(notifier)) == FINAL
            assert not server.mails
            await notifier.close()

    async def test_a_wrong_password_is_final_and_not_quoted(
        self, files: Certificates, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SMTP_PASSWORD", "not-the-password")
        async with MailServer.running(asks_password=True, starttls=files.server_context()) as server:
            notifier = self.notifier(server.port, files, tls="starttls", user=USER, password={"env": "SMTP_PASSWORD"})
            with capture_logs() as logs:
                error = await failure_of(notifier)
            await notifier.close()

        assert kind_of(error) == FINAL
        assert "not-the-password" not in f"{error}{logs}"

    async def test_a_password_that_is_missing_is_named_by_its_place(self, files: Certificates) -> None:
        async with MailServer.running(asks_password=True, starttls=files.server_context()) as server:
            notifier = self.notifier(server.port, files, tls="starttls", user=USER, password={"env": "NOT_SET_AT_ALL"})
            error = await failure_of(notifier)
            await notifier.close()

        assert kind_of(error) == AGAIN
        assert "NOT_SET_AT_ALL" in str(error)


class TestHeaders:
    """What alerts say is data: it never becomes a header, and never makes one too long."""

    @pytest.mark.parametrize(
        "hostile",
        [
            "x\r\nBcc: everyone@example.org",
            "x\nSubject: other",
            "x\r\n\r\nbody",
            "x\u2028Bcc: a@b",
            "\u202egnirif",
            "x" * 1024,
        ],
    )
    def test_a_hostile_label_adds_no_header_and_no_line(self, hostile: str) -> None:
        settings = EmailModel.model_validate(model(25))
        message = mail(notification(alert(service=hostile), group_labels={"service": hostile}), settings)

        raw = message.as_bytes()
        headers = raw.split(b"\r\n\r\n")[0].split(b"\r\n")
        names = {line.split(b":")[0] for line in headers if not line[:1].isspace()}
        assert b"Bcc" not in names
        assert len([line for line in headers if line.startswith(b"Subject:")]) == 1
        assert len(str(message["subject"])) <= 180
        assert "\u202e" not in str(message["subject"])
        assert message["to"] == f"{FIRST}, {SECOND}"

    def test_values_are_escaped_in_html(self) -> None:
        settings = EmailModel.model_validate(model(25))
        message = mail(notification(alert(service="<script>alert(1)</script>")), settings)

        assert "<script>" not in _part(message, "html")
        assert "&lt;script&gt;" in _part(message, "html")


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def encrypted_server(
    mode: str, files: Certificates, *, asks_password: bool = False
) -> AbstractAsyncContextManager[MailServer]:
    context = files.server_context()
    tls, starttls = (context, None) if mode == "tls" else (None, context)
    return MailServer.running(tls=tls, starttls=starttls, asks_password=asks_password)

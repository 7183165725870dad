"""Mail servers for tests, on a port of this host: a real one, and one that stops in the middle."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.support.connections import serving

TAKEN = "250 OK"
USER, PASSWORD = "waggle", "correct horse"


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A message as it was taken."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    raw: bytes


@dataclass(kw_only=True)
class MailServer:
    """aiosmtpd. `replies` are what a recipient gets, one after the other, then it is taken; `data_replies` the same for messages."""

    mails: list[Mail] = field(default_factory=list)
    replies: dict[str, list[str]] = field(default_factory=dict)
    data_replies: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    port: int = 0

    @classmethod
    @asynccontextmanager
    async def running(
        cls, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, asks_password: bool = False
    ) -> AsyncIterator[MailServer]:
        made = cls()
        loop = asyncio.get_running_loop()

        def protocol() -> SMTP:
            options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
            if asks_password:
                options |= {"authenticator": made.authenticate, "auth_required": True, "auth_require_tls": tls is None}
            with warnings.catch_warnings():  # of passwords without STARTTLS: where all is TLS there is none
                warnings.simplefilter("ignore", UserWarning)
                return SMTP(made, hostname="mail.test", loop=loop, **options)

        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            server.close()

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        replies = self.replies.get(address, [])
        reply = replies.pop(0) if replies else TAKEN
        if reply == TAKEN:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.data_replies:
            return self.data_replies.pop(0)
        raw = cast(bytes, envelope.content)
        message = message_from_bytes(raw, policy=default)
        self.mails.append(
            Mail(sender=str(envelope.mail_from), recipients=tuple(envelope.rcpt_tos), message=message, raw=raw)
        )
        return TAKEN

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        user, password = data.login.decode(), data.password.decode()
        self.logins.append(user)
        return AuthResult(success=(user, password) == (USER, PASSWORD), handled=False)


class Phase(Enum):
    """Where a mail server stops; the value is what the client has sent last."""

    GREETING = ""
    HELLO = "EHLO"
    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    MESSAGE = "."
    FAREWELL = "QUIT"


class StoppingMailServer:
    """Speaks SMTP up to a phase; there it answers no more (`hangs`), or ends the connection."""

    def __init__(self, phase: Phase, *, hangs: bool) -> None:
        self._phase = phase
        self._hangs = hangs
        self._released = asyncio.Event()
        self.port = 0
        self.messages = 0

    @classmethod
    @asynccontextmanager
    async def running(cls, phase: Phase, *, hangs: bool) -> AsyncIterator[StoppingMailServer]:
        made = cls(phase, hangs=hangs)
        async with serving(made._serve, release=made._released) as made.port:
            yield made

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await self._stops(Phase.GREETING):
            return
        writer.write(b"220 mail.test\r\n")
        while line := await reader.readline():
            word = line.decode().split(" ")[0].strip().upper()
            if await self._stops(next((p for p in Phase if p.value and p.value == word), None)):
                return
            writer.write({"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}.get(word, b"250 OK\r\n"))
            if word == "DATA":
                while (await reader.readline()).strip() != b".":
                    pass
                self.messages += 1
                if await self._stops(Phase.MESSAGE):
                    return
                writer.write(b"250 taken\r\n")
            await writer.drain()

    async def _stops(self, phase: Phase | None) -> bool:
        if phase is not self._phase:
            return False
        if self._hangs:
            await self._released.wait()
        return True

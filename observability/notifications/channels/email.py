"""Mail, by SMTP: HTML and text, one thread for each group."""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from email.utils import format_datetime

import aiosmtplib

from contracts.identifiers import derived_id
from observability.notifications.channels.addresses import AddressGuard
from observability.notifications.channels.smtp_errors import delivery_error, final_refusal, said
from observability.notifications.configuration import EmailModel, SmtpSecurity
from observability.notifications.errors import DeliveryError
from observability.notifications.notification import Notification
from observability.notifications.rendering.page import html_page
from observability.notifications.rendering.text import plain_text
from observability.notifications.rendering.words import headline

FAREWELL_S = 1.0
MAX_REMEMBERED = 256
"""Messages of which some recipients have been served and others are tried again."""


class EmailNotifier:
    """A mail server. Recipients that it takes later (greylisting) are tried again on their own; one that it refuses for good
    does not keep the others from their message.
    """

    def __init__(self, model: EmailModel, addresses: AddressGuard) -> None:
        self._model = model
        self._addresses = addresses
        self._tls = None if model.tls is SmtpSecurity.NONE else model.tls_context()
        self._served: OrderedDict[str, set[str]] = OrderedDict()

    async def send(self, notification: Notification) -> str:
        served = self._served.get(notification.id, set())
        recipients = [address for address in self._model.to if address not in served]
        message = mail(notification, self._model)
        refused = await self._deliver(message, recipients)
        self._remember(notification.id, served | (set(recipients) - refused.keys()))
        later = {address: code for address, code in refused.items() if not final_refusal(code[0])}
        if later:
            raise DeliveryError(f"to be tried again: {_listed(later)}")
        self._served.pop(notification.id, None)
        if len(refused) == len(self._model.to):
            raise DeliveryError(f"every recipient is refused: {_listed(refused)}", final=True)
        return f"refused: {_listed(refused)}" if refused else f"taken for {len(self._model.to)} recipients"

    async def close(self) -> None:
        await self._addresses.close()

    async def _deliver(self, message: EmailMessage, recipients: list[str]) -> dict[str, tuple[int, str]]:
        """Returns who was refused, and how. Raises `DeliveryError` when nobody was served for a reason that is no refusal."""
        server = await self._server()
        stage = "greeting"
        try:
            await server.connect()
            if server.is_ehlo_or_helo_needed:
                await server.ehlo()
            if self._model.password is not None:
                stage = "authentication"
                await server.login(self._model.user or "", self._model.password.read())
            stage = "delivery"
            refused, _ = await server.send_message(message, sender=self._model.sender, recipients=recipients)
            await _leave(server)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return {each.recipient: (each.code, each.message) for each in error.recipients}
        except (aiosmtplib.SMTPException, OSError) as error:
            raise delivery_error(self._model, stage, error) from error
        finally:
            server.close()
        return {address: (reply.code, reply.message) for address, reply in refused.items()}

    async def _server(self) -> aiosmtplib.SMTP:
        model = self._model
        return aiosmtplib.SMTP(
            hostname=model.host,
            sock=await self._socket(),
            use_tls=model.tls is SmtpSecurity.TLS,
            start_tls=model.tls is SmtpSecurity.STARTTLS,
            tls_context=self._tls,
            local_hostname=socket.gethostname() or "localhost",
            timeout=model.timeout.total_seconds(),
        )

    async def _socket(self) -> socket.socket:
        """Connected to the first of the server's addresses that answers."""
        loop = asyncio.get_running_loop()
        problem: OSError | None = None
        for address in await self._addresses.resolved(self._model.host, self._model.server_port):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                async with asyncio.timeout(self._model.connect_timeout_s):
                    await loop.sock_connect(sock, (address, self._model.server_port))
            except OSError as error:  # and TimeoutError, which is one
                sock.close()
                problem = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise DeliveryError(
            f"{self._model.host}:{self._model.server_port} cannot be reached: {problem or 'it does not answer'}"
        )

    def _remember(self, message_id: str, served: set[str]) -> None:
        self._served[message_id] = served
        while len(self._served) > MAX_REMEMBERED:
            self._served.popitem(last=False)


def mail(notification: Notification, model: EmailModel) -> EmailMessage:
    """The message. `Message-ID` follows from the idempotency key, so mail servers can drop one that comes twice."""
    domain = model.sender.rpartition("@")[2]
    message = EmailMessage(policy=MAIL_POLICY)
    message["From"] = model.sender
    message["To"] = ", ".join(model.to)
    message["Subject"] = headline(notification)
    message["Date"] = format_datetime(notification.at)
    message["Message-ID"] = f"<{notification.id}@{domain}>"
    thread = f"<{derived_id(notification.group_key, notification.channel)}.group@{domain}>"
    message["References"] = thread
    message["In-Reply-To"] = thread
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(plain_text(notification))
    message.add_alternative(html_page(notification), subtype="html")
    return message


async def _leave(server: aiosmtplib.SMTP) -> None:
    """The message is taken: a server that hangs over the farewell changes nothing."""
    with suppress(aiosmtplib.SMTPException, OSError):
        await server.quit(timeout=FAREWELL_S)


def _listed(refused: dict[str, tuple[int, str]]) -> str:
    return ", ".join(f"{address} ({said(code, text)})" for address, (code, text) in refused.items())

"""What a mail server's failures mean for delivery."""

from __future__ import annotations

import ssl

import aiosmtplib

from observability.notifications.configuration import EmailModel
from observability.notifications.errors import DeliveryError
from observability.notifications.rendering.words import line

MAX_SAID = 120


def final_refusal(code: int) -> bool:
    """Whether a reply says that trying again cannot help (RFC 5321, 4.2.1)."""
    return 500 <= code < 600


def said(code: int, text: str) -> str:
    return line(f"{code} {text}", MAX_SAID)


def delivery_error(model: EmailModel, stage: str, error: Exception) -> DeliveryError:
    """What became of a message that could not be handed over in `stage`."""
    server = f"{model.host}:{model.server_port}"
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return DeliveryError(
            f"{server} refuses user {model.user}: {said(error.code, error.message)}", final=final_refusal(error.code)
        )
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return DeliveryError(
            f"{server} refuses ({stage}): {said(error.code, error.message)}", final=final_refusal(error.code)
        )
    # What the library itself finds missing, such as STARTTLS or a way to log in, is of no class of its own.
    if isinstance(error, aiosmtplib.SMTPNotSupported) or type(error) is aiosmtplib.SMTPException:
        return DeliveryError(f"{server} does not offer what is needed: {error}", final=True)
    if isinstance(error, ssl.SSLError):
        return DeliveryError(f"{server} has a certificate that is not trusted, or speaks no TLS: {error.reason}")
    # A connection that is lost while the message is handed over leaves open whether it was taken.
    what = line(str(error) or type(error).__name__, MAX_SAID)
    return DeliveryError(f"{server} broke off ({stage}): {what}", in_doubt=stage == "delivery")

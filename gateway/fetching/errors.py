"""Why a document was not fetched. The sentences are for who asked: they tell nothing of the network that the gateway is in.

FetchError
├── UrlRefusedError     this URL is not fetched, or not from here; nobody was asked for it
├── SourceRefusedError  who has the document does not give it: asking again does not help
├── SourceFailedError   who has it cannot be reached, or broke off: asking again may help
├── SourceTooSlowError  the time for it is over
└── TooManyFetchesError the gateway has enough to fetch at the moment
"""

from __future__ import annotations

from contracts.errors import WaggleError


class FetchError(WaggleError):
    """Nothing of the document was kept."""


class UrlRefusedError(FetchError):
    """No URL of a document, or one that may not be fetched from here."""


class SourceRefusedError(FetchError):
    """Its server answered that there is none for us, or with something else than a document."""


class SourceFailedError(FetchError):
    """Its server is not to be reached, failed, or gave less than it promised."""


class SourceTooSlowError(FetchError):
    """Its server was too slow."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(
            f"The document did not come within {timeout_s:g} s. Try again, download it and upload the file, or raise "
            "WAGGLE_URL_TIMEOUT_S."
        )


class TooManyFetchesError(FetchError):
    """As many documents as may be are being fetched."""

    def __init__(self) -> None:
        super().__init__("Too many documents are being fetched at once.")

"""Documents fetched by URL, for somebody who could name any."""

from gateway.fetching.errors import (
    FetchError,
    SourceFailedError,
    SourceRefusedError,
    SourceTooSlowError,
    TooManyFetchesError,
    UrlRefusedError,
)
from gateway.fetching.fetcher import Fetched, Fetcher
from gateway.fetching.permission import Permission
from gateway.fetching.urls import parsed

__all__ = [
    "FetchError",
    "Fetched",
    "Fetcher",
    "Permission",
    "SourceFailedError",
    "SourceRefusedError",
    "SourceTooSlowError",
    "TooManyFetchesError",
    "UrlRefusedError",
    "parsed",
]

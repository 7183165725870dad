"""What is a URL of a document at all, whatever host it names."""

from __future__ import annotations

import re

import httpx

from contracts.sources import MAX_URL_CHARACTERS
from gateway.fetching.errors import UrlRefusedError

PORTS = {"http": 80, "https": 443}
"""The schemes there are, and the port that each usually has."""
_HOST = re.compile(r"[a-z0-9._-]*[a-z0-9_-]\.?|[0-9a-f:.]+:[0-9a-f:.]*(%25[a-z0-9]+)?", re.IGNORECASE)


def parsed(text: str) -> httpx.URL:
    """The URL as it will be asked for: without its fragment, the host in lower case and without a dot at its end.

    Raises `UrlRefusedError` for other schemes than http and https, for credentials in it, and for what is none.
    """
    try:
        url = httpx.URL(text.strip())
        _require(url)
        return _plain(url)
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter of names in Punycode that is none
        raise UrlRefusedError(f"This is no URL: {error}.") from error


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads. Raises `UrlRefusedError` as `parsed` does, and where it leads from https to http."""
    try:
        target = url.join(location)
        _require(target)
        plain = _plain(target)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UrlRefusedError("It redirects to what is no URL.") from error
    if url.scheme == "https" and target.scheme != "https":
        raise UrlRefusedError("It redirects from https to http, which is not followed. Give the URL that it leads to.")
    return plain


def _require(url: httpx.URL) -> None:
    if url.scheme not in PORTS:
        raise UrlRefusedError("Only URLs that begin with http:// or https:// are fetched.")
    if url.userinfo:
        raise UrlRefusedError("A URL with a user name or password in it is not fetched.")
    if not (url.host and _HOST.fullmatch(url.raw_host.decode("ascii")) and 0 < _port(url) < 65536):
        raise UrlRefusedError("The URL names no host, or a port that there is not.")


def _plain(url: httpx.URL) -> httpx.URL:
    plain = url.copy_with(host=url.raw_host.decode("ascii").rstrip("."), fragment=None)
    if len(str(plain)) > MAX_URL_CHARACTERS:
        raise UrlRefusedError(f"The URL is longer than {MAX_URL_CHARACTERS} characters.")
    return plain


def _port(url: httpx.URL) -> int:
    return PORTS[url.scheme] if url.port is None else url.port

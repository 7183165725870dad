"""Documents fetched by URL: what is asked for and given, and where it ends."""

from __future__ import annotations

import gzip
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.errors import WaggleError
from contracts.networks import parse_networks
from contracts.sources import UrlSource
from contracts.url_settings import UrlIngestion, parse_hosts
from gateway import fetching
from gateway.fetching import (
    Fetcher,
    FetchError,
    Permission,
    SourceFailedError,
    SourceRefusedError,
    SourceTooSlowError,
    UrlRefusedError,
)
from gateway.fetching.errors import TooManyFetchesError
from messaging.uploads import UploadTooLargeError
from observability.outgoing import PublicAddresses
from tests.support.sources import Page, SourceServer
from tests.support.waiting import until

MiB = 1024 * 1024
LIMIT = 256 * 1024
PATIENT_S = 60.0


@pytest.fixture
async def server() -> AsyncIterator[SourceServer]:
    async with SourceServer.running() as server:
        yield server


@asynccontextmanager
async def fetcher(server: SourceServer, **options: Any) -> AsyncIterator[Fetcher]:
    """One that may fetch from that server, and from nowhere else."""
    defaults: dict[str, Any] = {
        "timeout_s": PATIENT_S,
        "at_once": 2,
        "trust": ssl.create_default_context,
    }
    fetcher = Fetcher(
        Permission(UrlIngestion.LISTED, parse_hosts(f"127.0.0.1:{server.port}")),
        PublicAddresses(parse_networks("127.0.0.1/32")),
        **defaults | options,
    )
    yield fetcher
    await fetcher.close()


async def read(
    server: SourceServer, url: str, *, known: UrlSource | None = None, **options: Any
) -> tuple[bytes | None, str, UrlSource]:
    """The bytes, the name and the source of what is at a URL; as much as a store would take."""
    async with (
        fetcher(server, **options) as fetching_,
        fetching_.fetch(fetching.parsed(url), max_bytes=LIMIT, known=known) as fetched,
    ):
        if fetched.content is None:
            return None, fetched.name, fetched.source
        body = bytearray()
        async for piece in fetched.content:
            body += piece
            if len(body) > LIMIT:
                raise UploadTooLargeError(LIMIT)
        return bytes(body), fetched.name, fetched.source


async def refusal(server: SourceServer, url: str, **options: Any) -> WaggleError:
    with pytest.raises((FetchError, UploadTooLargeError)) as raised:
        await read(server, url, **options)
    return raised.value


class TestReading:
    async def test_the_bytes_come_as_they_are(self, server: SourceServer) -> None:
        body, name, source = await read(server, server.put("/a/handbook.pdf", bytes(range(256)) * 100) + "#page=3")
        assert (body, name) == (bytes(range(256)) * 100, "handbook.pdf")
        assert source == UrlSource(url=f"{server.url}/a/handbook.pdf", answered_by=f"{server.url}/a/handbook.pdf")

    async def test_nothing_is_asked_for_but_the_document(self, server: SourceServer) -> None:
        await read(server, server.put("/a") + "?version=2")
        (asked,) = server.asked
        assert asked.headers["host"] == f"127.0.0.1:{server.port}"
        assert asked.headers["accept-encoding"] == "identity"
        assert {"authorization", "cookie", "if-none-match"}.isdisjoint(asked.headers)

    async def test_a_proxy_of_the_environment_is_not_used(
        self, server: SourceServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with SourceServer.running() as proxy:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
                monkeypatch.setenv(name, proxy.url)
            assert (await read(server, server.put("/a")))[0] == b"Bees dance."
            assert proxy.connections == 0

    async def test_a_body_without_a_length_is_read_to_its_end(self, server: SourceServer) -> None:
        assert (await read(server, server.put("/a", b"x" * 5000, length=None)))[0] == b"x" * 5000

    @pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
    async def test_what_is_compressed_all_the_same_is_unpacked(self, server: SourceServer, compress: Any) -> None:
        text = b"Bees dance. " * 10_000
        for body in (compress(text), compress(b"")):
            encoding = "gzip" if compress is gzip.compress else "deflate"
            given, _, _ = await read(server, server.put("/a", body, headers={"Content-Encoding": encoding}))
            assert given in (text, b"")

    async def test_several_members_of_gzip_are_one_document(self, server: SourceServer) -> None:
        body = gzip.compress(b"Bees ") + gzip.compress(b"dance.")
        given, _, _ = await read(server, server.put("/a", body, headers={"Content-Encoding": "gzip"}))
        assert given == b"Bees dance."


class TestNames:
    @pytest.mark.parametrize(
        ("path", "disposition", "name"),
        [
            ("/docs/a.html", "", "a.html"),
            ("/docs/%E8%9C%9C%E8%9C%82.txt?x=1", "", "蜜蜂.txt"),
            ("/docs/", "", "docs"),
            ("/", "", "127.0.0.1"),
            ("/a", 'attachment; filename="report.pdf"', "report.pdf"),
            ("/a", "attachment; filename=x; filename*=UTF-8''%e8%9c%9c.txt", "蜜.txt"),
            ("/a", 'attachment; filename="../../etc/passwd"', "passwd"),
            ("/a", "attachment; filename=\"C:\\\\evil\\\\..\"", "a"),
            ("/a", "attachment; filename*=UTF-8''..%2F..%2Fb%00%0d%0a.txt", "b.txt"),
            ("/..%2f..%2fetc%2fshadow", "", "shadow"),
            ("/a", f'attachment; filename="{"x" * 600}"', "x" * 512),
        ],
    )  # fmt: skip
    async def test_a_name_is_a_label_and_never_a_path(
        self, server: SourceServer, path: str, disposition: str, name: str
    ) -> None:
        server.otherwise = Page(headers={"Content-Disposition": disposition} if disposition else {}, length=0)
        assert (await read(server, server.url + path))[1] == name


class TestChange:
    async def test_what_has_not_changed_is_not_sent_again(self, server: SourceServer) -> None:
        url = server.put("/a", headers={"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"})
        _, _, source = await read(server, url)
        assert (source.etag, source.last_modified) == ('"1"', "Wed, 21 Oct 2015 07:28:00 GMT")
        body, _, again = await read(server, url, known=source)
        assert (body, again) == (None, source)
        assert server.asked[-1].headers["if-modified-since"] == "Wed, 21 Oct 2015 07:28:00 GMT"

    async def test_what_has_changed_is(self, server: SourceServer) -> None:
        url = server.put("/a", headers={"ETag": '"1"'})
        _, _, source = await read(server, url)
        server.put("/a", b"Bees sing.", headers={"ETag": '"2"'})
        body, _, again = await read(server, url, known=source)
        assert (body, again.etag) == (b"Bees sing.", '"2"')

    async def test_the_version_of_one_url_says_nothing_of_another(self, server: SourceServer) -> None:
        target = server.put("/target", headers={"ETag": '"1"'})
        url = server.redirect("/a", "/target")
        _, _, source = await read(server, url)
        assert (source.url, source.answered_by) == (url, target)
        assert (await read(server, url, known=source))[0] is None
        assert "if-none-match" not in server.asked[-2].headers
        server.redirect("/a", server.put("/other", headers={"ETag": '"1"'}))
        assert (await read(server, url, known=source))[0] == b"Bees dance."

    async def test_a_server_that_says_unchanged_unasked_gives_nothing(self, server: SourceServer) -> None:
        assert isinstance(await refusal(server, server.put("/a", b"", status=304, length=None)), SourceRefusedError)

    @pytest.mark.parametrize("etag", ["x" * 300, "é", ""])
    async def test_an_odd_version_is_left_aside(self, server: SourceServer, etag: str) -> None:
        assert (await read(server, server.put("/a", headers={"ETag": etag})))[2].etag is None


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_they_are_followed(self, server: SourceServer, status: int) -> None:
        server.put("/here")
        assert (await read(server, server.redirect("/a", "here", status=status)))[0] == b"Bees dance."

    async def test_not_without_end(self, server: SourceServer) -> None:
        error = await refusal(server, server.redirect("/a", "/a"))
        assert isinstance(error, SourceRefusedError)
        assert server.connections == 6

    async def test_no_cookie_goes_along(self, server: SourceServer) -> None:
        server.put("/here")
        server.put("/a", b"", status=302, headers={"Location": "/here", "Set-Cookie": "a=b"})
        await read(server, f"{server.url}/a")
        assert "cookie" not in server.asked[-1].headers

    async def test_to_another_host_only_if_it_is_listed(self, server: SourceServer) -> None:
        async with SourceServer.running() as other:
            error = await refusal(server, server.redirect("/a", other.put("/b")))
            assert isinstance(error, UrlRefusedError)
            assert other.connections == 0

    @pytest.mark.parametrize(
        "location", ["file:///etc/passwd", "gopher://127.0.0.1/x", "//user:secret@127.0.0.1/", "http://["]
    )
    async def test_to_no_url_of_a_document_is_refused(self, server: SourceServer, location: str) -> None:
        assert isinstance(await refusal(server, server.redirect("/a", location)), FetchError)
        assert server.connections == 1


class TestBounds:
    async def test_a_length_above_the_limit_is_refused_before_anything_is_read(self, server: SourceServer) -> None:
        url = server.put("/a", b"", length=LIMIT + 1, hangs=True)
        assert isinstance(await refusal(server, url), UploadTooLargeError)

    async def test_an_endless_body_ends_at_the_limit(self, server: SourceServer) -> None:
        url = server.put("/a", b"", length=None, endless=True)
        assert isinstance(await refusal(server, url), UploadTooLargeError)
        assert server.sent < 64 * MiB

    async def test_a_bomb_ends_at_the_limit_and_stays_packed(self, server: SourceServer) -> None:
        bomb = gzip.compress(bytes(64 * MiB))
        url = server.put("/a", bomb, headers={"Content-Encoding": "gzip"})
        async with fetcher(server) as one, one.fetch(fetching.parsed(url), max_bytes=LIMIT) as fetched:
            assert fetched.content is not None
            sizes = [len(piece) async for piece in fetched.content]
        assert sum(sizes) == 64 * MiB
        assert max(sizes) <= 64 * 1024
        assert isinstance(await refusal(server, url), UploadTooLargeError)

    @pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 100])
    async def test_other_encodings_are_refused(self, server: SourceServer, encoding: str) -> None:
        error = await refusal(server, server.put("/a", headers={"Content-Encoding": encoding}))
        assert isinstance(error, SourceRefusedError)

    @pytest.mark.parametrize(
        "body", [b"no gzip", gzip.compress(b"Bees dance." * 99)[:40]], ids=["not packed", "cut off"]
    )
    async def test_what_is_packed_wrongly_is_no_document(self, server: SourceServer, body: bytes) -> None:
        error = await refusal(server, server.put("/a", body, headers={"Content-Encoding": "gzip"}))
        assert isinstance(error, SourceFailedError)

    async def test_less_than_was_promised_is_no_document(self, server: SourceServer) -> None:
        assert isinstance(await refusal(server, server.put("/a", b"Bees", length=11)), SourceFailedError)

    @pytest.mark.parametrize("slow", [{"hangs": True}, {"drips": True}])
    async def test_silence_and_a_drip_are_cut_alike(self, server: SourceServer, slow: dict[str, bool]) -> None:
        url = server.put("/a", b"Bees", length=100_000, **slow)
        assert isinstance(await refusal(server, url, timeout_s=0.3), SourceTooSlowError)

    async def test_redirects_and_body_share_one_time(self, server: SourceServer) -> None:
        url = server.redirect("/a", server.put("/b", b"", length=None, drips=True))
        assert isinstance(await refusal(server, url, timeout_s=0.3), SourceTooSlowError)

    async def test_no_more_are_fetched_at_once_than_may_be(self, server: SourceServer) -> None:
        url = fetching.parsed(server.put("/a"))
        async with fetcher(server, at_once=1) as one:
            async with one.fetch(url, max_bytes=LIMIT):
                with pytest.raises(TooManyFetchesError):
                    await one.fetch(url, max_bytes=LIMIT).__aenter__()
            async with one.fetch(url, max_bytes=LIMIT) as fetched:
                assert fetched.content is not None

    async def test_what_is_given_up_leaves_no_connection_behind(self, server: SourceServer) -> None:
        url = fetching.parsed(server.put("/a", b"", length=None, endless=True))
        async with fetcher(server) as one:
            with pytest.raises(RuntimeError):
                async with one.fetch(url, max_bytes=LIMIT):
                    raise RuntimeError("the store is full")
            await until(lambda: server.open == 0)

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (204, SourceRefusedError), (206, SourceRefusedError), (300, SourceRefusedError), (401, SourceRefusedError),
            (403, SourceRefusedError), (404, SourceRefusedError), (410, SourceRefusedError), (429, SourceFailedError),
            (500, SourceFailedError), (503, SourceFailedError), (599, SourceFailedError),
        ],
    )  # fmt: skip
    async def test_the_status_says_whether_asking_again_may_help(
        self, server: SourceServer, status: int, kind: type[FetchError]
    ) -> None:
        error = await refusal(server, server.put("/a", b"", status=status))
        assert isinstance(error, kind)
        assert str(status) in str(error)

    async def test_what_speaks_no_http_cannot_be_fetched(self, server: SourceServer) -> None:
        url = server.put("/a", b"", headers={"Transfer-Encoding": "chunked"}, length=None, hangs=False)
        assert isinstance(await refusal(server, url), SourceFailedError)

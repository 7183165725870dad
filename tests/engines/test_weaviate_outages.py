"""A Weaviate that is not there, not the right one, or goes away and comes back: real servers, stopped, killed, frozen."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from weaviate.classes.rbac import Permissions

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from contracts.settings import IndexSettings
from deploy.local.ports import free_port
from messaging.breaker import Breaker, BreakerState, Probing
from messaging.errors import BackendAwayError
from tests.support.waiting import until
from tests.support.weaviate_server import ADMIN_KEY, READER_KEY, STRANGER_KEY, USERS, WeaviateServer, require_binary
from tests.support.weaviate_site import WeaviateSite, site_of
from tests.unit.indexing.rows import EMBEDDER, TENANT, question, row
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index, build_site
from workers.indexing.guarded import GuardedIndex

BATCH = 20
META = b'{"hostname": "http://[::]:8080", "modules": {}, "version": "%s"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    """A server of these tests alone: they take it away."""
    with WeaviateServer(tmp_path_factory.mktemp("weaviate"), require_binary()) as server:
        yield server


@pytest.fixture(scope="module")
def site(server: WeaviateServer) -> WeaviateSite:
    return site_of(server)


@pytest.fixture
def collection(site: WeaviateSite) -> Iterator[str]:
    with site.collection() as name:
        yield name


@pytest.fixture
async def index(site: WeaviateSite, collection: str) -> AsyncIterator[VectorIndex]:
    index = build_index(site.settings(collection), EMBEDDER.identity)
    await index.open()
    yield index
    await index.close()


async def refused(settings: IndexSettings, kind: type[Exception], match: str) -> None:
    """Opening ends with such an error."""
    with pytest.raises(kind, match=match):
        await build_index(settings, EMBEDDER.identity).open()


async def test_a_wrong_key_is_said_with_its_setting(site: WeaviateSite, collection: str) -> None:
    await refused(site.settings(collection, key="wrong"), PermanentError, "WAGGLE_WEAVIATE_API_KEY")


async def test_a_key_without_rights_is_said_with_its_setting(site: WeaviateSite, collection: str) -> None:
    await refused(site.settings(collection, key=STRANGER_KEY), PermanentError, "WAGGLE_WEAVIATE_API_KEY")


async def test_rights_that_are_missing_at_work_hold_the_work(
    site: WeaviateSite, collection: str, index: VectorIndex
) -> None:
    """A worker that was let in waits until the rights are given, instead of giving its documents up."""
    site.give_role(
        USERS[READER_KEY],
        [
            Permissions.collections(collection=f"{collection}*", read_config=True),
            Permissions.data(collection=f"{collection}*", tenant="*", read=True),
            Permissions.tenants(collection=f"{collection}*", tenant="*", read=True),
        ],
    )
    await index.upsert([row("some words")])
    reader = build_index(site.settings(collection, key=READER_KEY), EMBEDDER.identity)
    await reader.open()
    assert await reader.count_generation(TENANT, "d", "g1") == 1
    with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_API_KEY"):
        await reader.upsert([row("more words", ordinal=1)])
    with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_API_KEY"):
        await reader.delete_generation(TENANT, "d", "g1")
    await reader.close()
    assert await index.count_generation(TENANT, "d", "g1") == 1


async def test_an_address_where_nobody_answers_may_answer_later(site: WeaviateSite, collection: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    await refused(site.settings(collection, weaviate_url=nowhere), TransientError, "WAGGLE_WEAVIATE_URL")


async def test_a_grpc_port_where_nobody_answers_is_said_with_its_setting(site: WeaviateSite, collection: str) -> None:
    settings = site.settings(collection, weaviate_grpc_port=free_port())
    await refused(settings, TransientError, "nobody answers .* WAGGLE_WEAVIATE_GRPC_PORT")


async def test_a_grpc_port_where_something_else_answers_is_said_with_its_setting(
    site: WeaviateSite, collection: str
) -> None:
    with answering(200, b"<html>") as other:
        port = int(other.rpartition(":")[2])
        settings = site.settings(collection, weaviate_grpc_port=port, weaviate_timeout_s=2.5)
        await refused(settings, TransientError, "WAGGLE_WEAVIATE_GRPC_PORT")


@pytest.mark.parametrize(
    ("status", "body", "kind", "match"),
    [
        (200, b"<html>Welcome</html>", PermanentError, "not Weaviate.* WAGGLE_WEAVIATE_URL"),
        (404, b"not found", PermanentError, "not Weaviate.* WAGGLE_WEAVIATE_URL"),
        (200, b'["json"]', PermanentError, "not Weaviate.* WAGGLE_WEAVIATE_URL"),
        (200, b'{"version": 3}', PermanentError, "not Weaviate.* WAGGLE_WEAVIATE_URL"),
        (200, META % b"1.26.9", PermanentError, r"version 1\.26\.9, .*too old.* 1\.27"),
        (401, b"{}", PermanentError, "WAGGLE_WEAVIATE_API_KEY"),
        (502, b"<html>Bad gateway</html>", TransientError, "status 502.* WAGGLE_WEAVIATE_URL"),
        (429, b"{}", TransientError, "status 429"),
    ],
)
async def test_what_answers_instead_of_weaviate_is_told(
    site: WeaviateSite, collection: str, status: int, body: bytes, kind: type[Exception], match: str
) -> None:
    with answering(status, body) as other:
        await refused(site.settings(collection, weaviate_url=other), kind, match)


async def test_an_answer_that_never_ends_is_given_up(
    site: WeaviateSite, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.indexing.weaviate_address.ANSWER_S", 0.3)
    with dripping() as other:
        await refused(
            site.settings(collection, weaviate_url=other), TransientError, "no whole answer.*WAGGLE_WEAVIATE_URL"
        )


async def test_a_server_that_was_killed_is_away_and_what_was_stored_is_there_when_it_is_back(
    server: WeaviateServer, index: VectorIndex
) -> None:
    await index.upsert([row("some words")])
    await asyncio.to_thread(server.kill)
    calls: list[Callable[[], object]] = [
        lambda: index.count_generation(TENANT, "d", "g1"),
        lambda: index.upsert([row("more words", ordinal=1)]),
        lambda: index.delete_generation(TENANT, "d", "g1"),
        lambda: index.embeddings(TENANT, "d", ["digest"]),
        lambda: index.search(TENANT, text="words", vector=question("words"), limit=3, filters=Filters()),
        index.census,
    ]
    for call in calls:
        with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_URL"):
            await call()  # type: ignore[misc]  # each returns an awaitable of its own kind
    await asyncio.to_thread(server.start)
    await until(lambda: answers(index), timeout_s=30)
    assert await index.count_generation(TENANT, "d", "g1") == 1


async def test_a_search_under_way_ends_with_a_reason_when_the_server_dies(
    server: WeaviateServer, index: VectorIndex
) -> None:
    await index.upsert([row("some words")])
    server.freeze()
    searching = asyncio.ensure_future(
        index.search(TENANT, text="words", vector=question("words"), limit=3, filters=Filters())
    )
    await asyncio.sleep(0)
    await asyncio.to_thread(server.kill)
    with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_URL"):
        await searching
    await asyncio.to_thread(server.start)
    await until(lambda: answers(index), timeout_s=30)


async def test_a_server_that_hangs_is_given_up_after_the_time_that_was_set(
    server: WeaviateServer, site: WeaviateSite, collection: str, index: VectorIndex
) -> None:
    await index.upsert([row("some words")])
    settings = site.settings(collection, weaviate_timeout_s=2, weaviate_write_timeout_s=3)
    hasty = build_site(settings, settings.index).index(collection, EMBEDDER.identity)
    await hasty.open()
    server.freeze()
    try:
        with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_TIMEOUT_S"):
            await hasty.count_generation(TENANT, "d", "g1")
        with pytest.raises(TransientError, match="WAGGLE_WEAVIATE_WRITE_TIMEOUT_S"):
            await hasty.delete_generation(TENANT, "d", "g1")
    finally:
        server.thaw()
        await hasty.close()
    assert await index.count_generation(TENANT, "d", "g1") in {0, 1}  # the deletion may yet have come through


async def test_the_breaker_opens_while_the_server_is_away_and_closes_when_it_is_back(
    server: WeaviateServer, index: VectorIndex
) -> None:
    breaker = Breaker(
        "index", lambda: index.count_generation("default", "none", "none"), probing=Probing(max_pause_s=1.0)
    )
    watching = asyncio.ensure_future(breaker.run())
    guarded = GuardedIndex(index, breaker)
    await guarded.upsert([row("some words")])
    await asyncio.to_thread(server.kill)
    with pytest.raises(BackendAwayError, match="WAGGLE_WEAVIATE_URL"):
        await guarded.upsert([row("more words", ordinal=1)])
    assert breaker.state is BreakerState.OPEN
    await asyncio.to_thread(server.start)
    await asyncio.wait_for(breaker.closed(), 30)
    await guarded.upsert([row("more words", ordinal=1)])
    assert await guarded.count_generation(TENANT, "d", "g1") == 2
    watching.cancel()


class Load:
    """Three writers and a searcher that go on through an outage. `served_at`: when each kind of call first came through."""

    def __init__(self, index: VectorIndex) -> None:
        self.confirmed: set[str] = set()
        self.failed: set[str] = set()
        self.served_at: dict[str, float] = {}
        self._index = index
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            for writer in range(3):
                tasks.create_task(self._write(writer))
            tasks.create_task(self._search())
            try:
                yield
            finally:
                self._stopping.set()

    async def _write(self, writer: int) -> None:
        number = 0
        while not self._stopping.is_set():
            document_id = f"w{writer}-{number}"
            rows = [row(f"text {i}", document_id=document_id, ordinal=i) for i in range(BATCH)]
            if await self._goes("upsert", self._index.upsert(rows)):
                self.confirmed.add(document_id)
                number += 1

    async def _search(self) -> None:
        while not self._stopping.is_set():
            asked = question("text 7")
            await self._goes(
                "search", self._index.search(TENANT, text="text", vector=asked, limit=3, filters=Filters())
            )

    async def _goes(self, kind: str, call: Awaitable[object]) -> bool:
        try:
            await call
        except TransientError:
            self.failed.add(kind)
            return False
        self.served_at.setdefault(kind, time.monotonic())
        return True


@pytest.mark.parametrize("crash", [False, True], ids=["stopped", "killed"])
async def test_nothing_that_was_confirmed_is_lost_when_the_server_restarts_under_load(
    server: WeaviateServer, index: VectorIndex, crash: bool
) -> None:
    """Says how long recovery took: `pytest -rP` shows it."""
    load = Load(index)
    async with load.running():
        await until(lambda: len(load.confirmed) > 20, timeout_s=60)
        await asyncio.to_thread(server.kill if crash else server.stop)
        await until(lambda: load.failed == {"upsert", "search"}, timeout_s=60)
        load.served_at.clear()
        before = len(load.confirmed)
        await asyncio.to_thread(server.start)
        back_at = time.monotonic()
        await until(lambda: load.served_at.keys() == {"upsert", "search"}, timeout_s=60)
        await until(lambda: len(load.confirmed) > before + 20, timeout_s=60)
    counted = await index.census()
    found = {document_id: counted.get((TENANT, document_id, "g1")) for document_id in load.confirmed}
    assert found == dict.fromkeys(load.confirmed, BATCH)
    asked = row("text 7", document_id=min(load.confirmed), ordinal=7)
    filters = Filters(document_ids=(asked.document_id,))
    (hit,) = await index.search(TENANT, text=None, vector=question("text 7"), limit=1, filters=filters)
    assert hit.chunk_id == asked.chunk_id
    took = ", ".join(f"first {kind} {max(0.0, at - back_at):.2f} s" for kind, at in sorted(load.served_at.items()))
    sys.stdout.write(
        f"Weaviate {'killed' if crash else 'stopped'} under load, 0 of {len(load.confirmed)} confirmed documents lost; "
        f"after it was ready again: {took}\n"
    )


async def test_tls_needs_an_authority_that_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = certified(tmp_path)
    with WeaviateServer(tmp_path / "tls", require_binary(), certificate=certificate, key=key) as server:
        site = WeaviateSite(url=server.url, grpc_port=server.grpc_port, key=ADMIN_KEY)
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        await refused(site.settings("WaggleTls"), PermanentError, "SSL_CERT_FILE")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        index = build_index(site.settings("WaggleTls"), EMBEDDER.identity)
        await index.open()
        await index.upsert([row("some words")])
        assert await index.count_generation(TENANT, "d", "g1") == 1
        await index.close()


def certified(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that is its own authority, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=weaviate"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


async def answers(index: VectorIndex) -> bool:
    try:
        await index.count_generation(TENANT, "d", "g1")
    except TransientError:
        return False
    return True


@contextmanager
def dripping() -> Iterator[str]:
    """The address of a web server that sends its answer byte by byte, until nobody listens."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            with suppress(ConnectionError):
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.02)

    with served(Handler) as other:
        yield other


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The address of a web server that answers everything with this."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as other:
        yield other


class Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name there)
        """Say nothing."""


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as other:
        serving = threading.Thread(target=other.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{other.server_address[1]}"
        other.shutdown()
        serving.join()

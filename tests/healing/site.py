"""A whole Waggle that repairs itself, under load: a supervised stack with operator and two observers, and all that breaks it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import psutil

from contracts.gateway_settings import Auth
from contracts.health import FACT_LEADS, Heartbeat, ProcessState
from contracts.platforms import Instance
from contracts.settings import AllSettings
from deploy.local import ports
from deploy.local.access import admin_of
from deploy.local.assembly import assemble
from deploy.local.errors import StartError
from deploy.local.readiness import watch
from deploy.local.stack import LocalStack
from deploy.platforms.local import LocalPlatform
from messaging.broker import Broker
from messaging.fleet import FleetView
from tests.faults.books import Books
from tests.faults.client import Client
from tests.faults.documents import QUESTION
from tests.faults.link import Link, link_to
from tests.faults.plans import Plans
from tests.faults.searcher import Searcher
from tests.faults.worker import ready_file
from tests.faults.workload import Workload
from tests.healing.fleet import BreakableFleet
from tests.healing.index import index_at_two_addresses
from tests.healing.scale import Scale
from tests.healing.switches import Switches
from tests.support.chat_servers import MODEL, ChatServer, chat_servers
from tests.support.observers import notification_config
from tests.support.receivers import HttpReceiver
from tests.support.waiting import until

READY_S = 240.0
LINKED = ("observer-1", "observer-2", "retrieve-2", "generate-2")
"""Who reaches the broker over a link that can be broken."""
ENCODER_MS = 5
DOCUMENTS_EVERY_S = 2.0
QUESTIONS_EVERY_S = 0.5
OBSERVERS = ("observer-1", "observer-2")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How many of each service run, and how many may."""

    replicas: Mapping[str, int] = field(
        default_factory=lambda: {"embed": 2, "retrieve": 2, "generate": 2, "observer": 2}
    )
    most_replicas: int = 3
    environment: Mapping[str, str] = field(default_factory=dict)
    hasty: bool = False
    """Whether observers know a leak early."""
    weaviate: bool = False
    """Whether the index is a Weaviate with two addresses, instead of a folder."""


@dataclass(kw_only=True)
class Site:
    """What a fault may break, and what it may ask."""

    seed: random.Random
    scale: Scale
    stack: LocalStack
    platform: LocalPlatform
    broker: Broker
    fleet: FleetView
    links: Mapping[str, Link]
    switches: Switches
    plans: Plans
    chats: list[ChatServer]
    receiver: HttpReceiver
    client: Client
    books: Books
    searcher: Searcher
    folder: Path
    index_links: Sequence[Link] = ()
    """Those of the first of two addresses of the index."""
    _struck: set[str] = field(default_factory=set)

    def victim(self, *candidates: str) -> str:
        """One of these that was not struck yet: what is struck twice within a minute is one incident."""
        chosen = self.seed.choice([each for each in candidates if each not in self._struck])
        self._struck.add(chosen)
        return chosen

    async def instance(self, name: str) -> Instance:
        """As the platform sees it."""
        return next(each for each in await self.platform.list() if each.instance == name)

    async def process(self, name: str) -> psutil.Process:
        pid = (await self.instance(name)).pid
        assert pid is not None, f"{name} does not run"
        return psutil.Process(pid)

    def heard(self, name: str) -> Heartbeat | None:
        """Its newest heartbeat; None when it is silent."""
        beats = (member.heartbeat for member in self.fleet.members() if member.alive)
        return next((beat for beat in beats if beat.instance == name), None)

    def leader(self) -> str:
        """The observer that says that it leads."""
        return next(name for name in OBSERVERS if self.leads(name))

    def leads(self, name: str) -> bool:
        beat = self.heard(name)
        return beat is not None and beat.facts.get(FACT_LEADS) == "yes"

    async def serves_anew(self, name: str, pid: int) -> bool:
        """Whether another process than this one takes work under that name."""
        now = (await self.instance(name)).pid
        if now is None or now == pid:
            return False
        if ready_file(self.folder, now).exists():
            return True
        beat = self.heard(name)
        return beat is not None and beat.pid == now and beat.state is ProcessState.READY

    async def answers(self) -> bool:
        """Whether a question is answered by who works, not by what is remembered."""
        return (await self.client.ask(QUESTION, cache=False)).ok


@asynccontextmanager
async def running(setup: Setup, *, seed: random.Random, scale: Scale) -> AsyncIterator[Site]:
    """A started stack under load; afterwards nothing of it is left."""
    folder = Path(mkdtemp(prefix="waggle-healing-"))
    try:
        async with AsyncExitStack() as opened:
            chats = await opened.enter_async_context(chat_servers(2))
            receiver = await opened.enter_async_context(HttpReceiver.running())
            nats_port = ports.free_port()
            links = {name: await opened.enter_async_context(link_to(nats_port)) for name in LINKED}
            environment = {**_environment(scale, folder, chats, receiver), **setup.environment}
            index_links: Sequence[Link] = ()
            if setup.weaviate:
                index = await opened.enter_async_context(index_at_two_addresses(folder / "weaviate"))
                environment, index_links = {**environment, **index.environment}, index.links
            stack = _stack(setup, scale, folder, nats_port, links, environment)
            opened.push_async_callback(asyncio.to_thread, stack.stop)
            await asyncio.to_thread(_start, stack)
            broker = await Broker.connect(
                admin_of(stack.layout.data_dir, stack.addresses.nats_url), name="campaign", on_closed=lambda: None
            )
            opened.push_async_callback(broker.close)
            fleet, books = FleetView(broker), Books()
            await fleet.start()
            opened.push_async_callback(fleet.stop)
            client = await opened.enter_async_context(Client.of(stack.addresses.url, books))
            site = Site(
                seed=seed,
                scale=scale,
                stack=stack,
                platform=LocalPlatform(stack.layout),
                broker=broker,
                fleet=fleet,
                links=links,
                switches=Switches(folder),
                plans=Plans(folder),
                chats=chats,
                receiver=receiver,
                client=client,
                books=books,
                searcher=Searcher(client, seed),
                folder=folder,
                index_links=index_links,
            )
            work = Workload(site)
            await opened.enter_async_context(
                work.going_on(documents_every_s=DOCUMENTS_EVERY_S, questions_every_s=QUESTIONS_EVERY_S)
            )
            await _settled(site)
            yield site
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _settled(site: Site) -> None:
    """Questions are answered, an observer leads, and everybody has been there for longer than a rollout is waited for."""
    await until(site.answers, timeout_s=READY_S, what="a question is answered")
    await until(lambda: any(map(site.leads, OBSERVERS)), timeout_s=READY_S, what="an observer leads")
    await asyncio.sleep(site.scale.settled_s)


def _start(stack: LocalStack) -> None:
    try:
        stack.start(on_step=lambda _: None)
        for _ in watch(stack, timeout_s=READY_S):
            pass
    except StartError as error:
        raise AssertionError(f"{error} The end of its log:\n{error.log}") from error


def _stack(
    setup: Setup,
    scale: Scale,
    folder: Path,
    nats_port: int,
    links: Mapping[str, Link],
    environment: Mapping[str, str],
) -> LocalStack:
    settings = AllSettings(
        data_dir=folder / "data",
        auth=Auth.DEVELOPMENT,
        drain_timeout_s=scale.drain_timeout_s,
        max_replicas=setup.most_replicas,
    )
    usual = assemble(settings, replicas=setup.replicas, port=ports.free_port(), nats_port=nats_port)
    return LocalStack(
        usual.layout,
        fleet=_breakable(usual, folder, links, hasty=setup.hasty),
        addresses=usual.addresses,
        environment={**usual.environment, **environment},
        provision=usual.provision,
        access=usual.access,
    )


def _breakable(usual: LocalStack, folder: Path, links: Mapping[str, Link], *, hasty: bool) -> BreakableFleet:
    given = {name: getattr(usual.fleet, name) for name in type(usual.fleet).__dataclass_fields__}
    urls = {name: link.url for name, link in links.items()}
    return BreakableFleet(**given, folder=folder, hasty=hasty, links=urls)


def _environment(scale: Scale, folder: Path, chats: list[ChatServer], receiver: HttpReceiver) -> Mapping[str, str]:
    notify = folder / "notify.yaml"
    notify.write_text(notification_config(receiver), encoding="utf-8")
    first, *others = chats
    return {
        "WAGGLE_AUTH": "development",
        "WAGGLE_ENCODER": "simulated",
        "WAGGLE_ENCODER_SIMULATED_MS": str(ENCODER_MS),
        "WAGGLE_CHUNK_TOKENS": "32",
        "WAGGLE_CHUNK_OVERLAP_TOKENS": "0",
        "WAGGLE_GENERATOR": "openai",
        "WAGGLE_GENERATOR_MODEL": MODEL,
        "WAGGLE_GENERATOR_ENDPOINTS": ",".join((first.url, *(f"{each.url};standby" for each in others))),
        "WAGGLE_OBSERVER_PORT": "0",
        "WAGGLE_NOTIFY_CONFIG": str(notify),
        "WAGGLE_NOTIFY_ALLOWED_NETWORKS": "127.0.0.1/32",
        **scale.environment,
    }

"""Row 15: what a hostile client sends, at the door and, past it, on the queues."""

from __future__ import annotations

import asyncio
import http.client
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.errors import ErrorCode
from contracts.identifiers import DEFAULT_TENANT
from messaging.storage import Storage
from messaging.upload_inventory import UploadInventory
from tests.faults.documents import QUESTION
from tests.faults.payloads import UPLOAD_MAX_BYTES, Attack, attacks, hostile_messages
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload
from tests.support.letters import dead_letters
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until

ROUNDS = 10
PRODUCTION_ROUNDS = 100
ATTACKERS = 2
"""Together they stay below what the gateway reads of JSON at once; beyond that it says 503 to everybody."""
QUICK_S = 10.0
GOOD_EVERY_S = 0.1
LEFT_TIMEOUT_S = 30.0
LETTERS_TIMEOUT_S = 120.0
PROBLEM = "application/problem+json"
BEYOND_PAYLOAD_BYTES = 16 * 1024 * 1024
QUEUES = {
    "ingest": subjects.ingest_request(DEFAULT_TENANT),
    "embed": subjects.embed_request(DEFAULT_TENANT),
    "purge": subjects.embed_purge(DEFAULT_TENANT),
    "query": subjects.query_request(DEFAULT_TENANT),
    "generate": subjects.generate_request(DEFAULT_TENANT),
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What became of an attack; status 0: the connection broke without an answer. `usable`: for the next request."""

    status: int
    media_type: str
    body: bytes
    took_s: float
    usable: bool


class HostileRequests(Row):
    number = "15"
    name = "hostile requests"
    fault = "oversized, deep, crowded, unreadable and mislabelled requests among good ones"
    passes = (
        "each refused quickly by a problem document, the connection kept; nothing of them left; good ones unaffected"
    )

    async def run(self, trial: Trial) -> Outcome:
        outcome, seed = Outcome(), trial.random(self.name)
        settings = {"WAGGLE_UPLOAD_MAX_BYTES": str(UPLOAD_MAX_BYTES)}
        async with running(seed=trial.seed, scale=trial.scale, settings=settings) as stack:
            work = Workload(stack)
            await work.prepare(versioned=2)
            rounds = PRODUCTION_ROUNDS if trial.scale.as_in_production else ROUNDS
            every = [*attacks()] * rounds
            to_come = iter(seed.sample(every, len(every)))
            async with _good_traffic(stack, work, outcome):
                await asyncio.gather(*(self._attack(stack, to_come, outcome) for _ in range(ATTACKERS)))
            outcome.notes["requests"] = len(every)
            trial.say(f"{len(every)} requests, the slowest answer took {outcome.notes['slowest s']:.2f} s")
            outcome.verdict = await stack.examine()
            outcome.require(not outcome.verdict.failed, f"{outcome.verdict.failed} good documents failed")
            await self._nothing_left(stack, outcome)
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome

    async def _attack(self, stack: Stack, to_come: Iterator[Attack], outcome: Outcome) -> None:
        for attack in to_come:
            answer = await asyncio.to_thread(_sent, stack.client.url, attack)
            outcome.notes["slowest s"] = max(outcome.notes.get("slowest s", 0.0), round(answer.took_s, 3))
            outcome.require(
                answer.status in attack.statuses, f"{attack.name}: answered {answer.status} {answer.body!r}"
            )
            outcome.require(_is_problem(answer), f"{attack.name}: {answer.media_type} {answer.body!r} is no problem")
            outcome.require(answer.usable or not attack.keeps, f"{attack.name}: the connection is of no more use")
            outcome.require(answer.took_s <= QUICK_S, f"{attack.name}: refused only after {answer.took_s:.1f} s")

    async def _nothing_left(self, stack: Stack, outcome: Outcome) -> None:
        storage = Storage(stack.broker)
        ledger = await storage.subjects(f"KV_{topology.DOCUMENTS.name}", f"$KV.{topology.DOCUMENTS.name}.>")
        outcome.require(len(ledger) == len(stack.books.documents), f"{len(ledger)} documents: {sorted(ledger)}")
        async with stack.searcher.resting():  # a search that is under way is in no book yet
            asked, known = await stack.questions(), len(stack.books.questions)
        outcome.require(asked == known, f"{asked} questions were accepted, {known} asked in earnest")
        outcome.require(not await dead_letters(stack.broker), "dead letters")

        async def only_ours() -> bool:
            return not (await UploadInventory(storage).take()).unfinished

        await until(only_ours, timeout_s=LEFT_TIMEOUT_S, what="half-written uploads are removed")


class HostileMessages(Row):
    number = "15"
    name = "hostile messages"
    fault = "messages as like good ones as can be, with members that are too deep, crowded, unreadable; one too large"
    passes = "0 crashes; each in the dead letters with a schema error; the one too large is refused by the broker"

    async def run(self, trial: Trial) -> Outcome:
        outcome, seed = Outcome(), trial.random(self.name)
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare(versioned=2)
            hostile = [(QUEUES[kind], body) for kind, bodies in hostile_messages().items() for body in bodies]
            async with _good_traffic(stack, work, outcome):
                for subject, body in seed.sample(hostile, len(hostile)):
                    await stack.broker.nc.publish(subject, body)
                await known_to_broker(stack.broker)
                refusal = await asyncio.to_thread(_oversized, stack.server.url)
                letters = await _lettered(stack, len(hostile))
            outcome.require(b"Maximum Payload" in refusal, f"the broker answered an oversized message {refusal!r}")
            codes = Counter(letter.code for letter in letters)
            outcome.require(
                codes == {ErrorCode.INVALID_MESSAGE: len(hostile)}, f"{len(hostile)} sent, letters: {codes}"
            )
            outcome.verdict = await stack.examine()
            outcome.require(not outcome.verdict.failed, f"{outcome.verdict.failed} good documents failed")
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
        return outcome


@asynccontextmanager
async def _good_traffic(stack: Stack, work: Workload, outcome: Outcome) -> AsyncIterator[None]:
    """Documents and questions while the body runs, and each must be served."""
    served, enough = Counter[int](), asyncio.Event()

    async def going_on() -> None:
        while not enough.is_set():
            submitted, asked = await asyncio.gather(
                stack.client.submit(work.fresh()), stack.client.ask(QUESTION, generate=False)
            )
            served.update((submitted.status, asked.status))
            await asyncio.sleep(GOOD_EVERY_S)

    task = asyncio.create_task(going_on())
    try:
        yield
    finally:
        enough.set()  # not cancelled: what has become of a request that was cut short nobody knows
        await task
    outcome.notes["good requests"] = served.total()
    outcome.require(served.total() and set(served) <= {200, 202}, f"good requests were answered {dict(served)}")


def _sent(url: str, attack: Attack) -> Answer:
    """Send it, read the answer, and try the connection once more."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=QUICK_S * 3)
    begun = time.monotonic()
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may be refused before all of it is sent
            _send(connection, attack)
        response = connection.getresponse()
        body, took_s = response.read(), time.monotonic() - begun
        usable = not response.will_close and _serves(connection)
        return Answer(
            status=response.status,
            media_type=response.headers.get_content_type(),
            body=body[:300],
            took_s=took_s,
            usable=usable,
        )
    except (OSError, http.client.HTTPException) as error:
        return Answer(status=0, media_type="", body=repr(error).encode(), took_s=time.monotonic() - begun, usable=False)
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, attack: Attack) -> None:
    connection.putrequest(attack.method, attack.path, skip_host="Host" in attack.headers)
    for name, value in attack.headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(attack.body)))
    connection.endheaders(attack.body)


def _serves(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/health/live")
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        return False
    return response.status == 200


def _is_problem(answer: Answer) -> bool:
    if answer.media_type != PROBLEM:
        return False
    return b'"code"' in answer.body and b'"detail"' in answer.body


def _oversized(url: str) -> bytes:
    """What the broker says to a message beyond its limit, sent past the client library, which would not."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=QUICK_S) as connection:
        connection.sendall(b"CONNECT {}\r\n" + f"PUB {QUEUES['ingest']} {BEYOND_PAYLOAD_BYTES}\r\n".encode())
        said = b""
        while received := connection.recv(4096):
            said += received
        return said


async def _lettered(stack: Stack, number: int) -> list[DeadLetter]:
    letters = list[DeadLetter]()

    async def enough() -> bool:
        letters[:] = await dead_letters(stack.broker)
        return len(letters) >= number

    await until(enough, timeout_s=LETTERS_TIMEOUT_S, what=f"{number} dead letters, there are {len(letters)}")
    return letters

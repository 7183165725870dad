"""Rows 12 and 14: messages that kill, and messages that are none."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.errors import ErrorCode
from contracts.identifiers import DEFAULT_TENANT
from messaging.provisioning import provision_consumer
from messaging.retries import handler_attempts
from messaging.storage import Storage
from tests.faults.documents import text_of
from tests.faults.plans import Action, Plan
from tests.faults.row import Outcome, Row, Trial
from tests.faults.stack import Stack, running
from tests.faults.workload import Workload
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until

GOOD = 40
PARTS = 4
"""One batch for each document, so that the poisoned one is one message at each stage."""
MAX_DELIVER = 6
"""Few, so that a poison message is found out soon; enough for what died with it to be told from it."""
LETTERS_TIMEOUT_S = 400.0


class Poison(Row):
    """`action` is what the message does to the worker that handles it, each time."""

    number = "12"
    action: Action
    consumer: topology.Consumer
    process: str
    point: str

    passes = "exactly one dead letter with its reason and exact attempts; the good ones done"

    async def run(self, trial: Trial) -> Outcome:
        outcome, seed = Outcome(), trial.random(self.name)
        poisoned = text_of("poison", 1, seed, parts=PARTS)
        async with running(seed=trial.seed, scale=trial.scale, without=(self.process,)) as stack:
            consumer = next(c for c in trial.scale.table.consumers if c.durable == self.consumer.durable)
            impatient = replace(consumer, max_deliver=MAX_DELIVER)
            await provision_consumer(stack.broker, impatient)
            stack.plans.arm(
                Plan(
                    point=self.point,
                    action=self.action,
                    containing=poisoned.document_id,
                    once=False,
                )
            )
            work = Workload(stack)
            good = [work.fresh(parts=PARTS) for _ in range(GOOD)]
            for text in seed.sample([*good, poisoned], GOOD + 1):
                await stack.client.submit_surely(text)
            await stack.start(self.process)
            await _letters(stack, 1)
            outcome.verdict = await stack.examine()
            letters = await _letters(stack, 1)
            wanted = [(ErrorCode.RETRIES_EXHAUSTED, handler_attempts(impatient))]
            found = [(letter.code, letter.attempts) for letter in letters]
            outcome.require(found == wanted, f"dead letters {found} instead of {wanted}")
            outcome.require(all(letter.reason for letter in letters), "a dead letter without a reason")
            outcome.require(
                outcome.verdict.ready == GOOD, f"{outcome.verdict.ready} of {GOOD} good documents are ready"
            )
            outcome.require(outcome.verdict.failed == 1, f"{outcome.verdict.failed} documents failed instead of one")
        return outcome


class RaisingPoison(Poison):
    name = "poison that raises"
    fault = "a document that makes ingest raise every time, among good ones"
    action, point = Action.RAISE, "ingest.received"
    consumer, process = topology.INGEST_WORKERS, "ingest-1"


class KillingPoison(Poison):
    name = "poison that kills"
    fault = "a document that kills the ingest process every time, among good ones"
    action, point = Action.KILL, "ingest.begun"
    consumer, process = topology.INGEST_WORKERS, "ingest-1"


class KillingBatch(Poison):
    name = "batch that kills"
    fault = "a batch that kills the embed process every time, gathered with good ones"
    action, point = Action.KILL, "embed.begun"
    consumer, process = topology.EMBED_WORKERS, "embed-1"


class Malformed(Row):
    number = "14"
    name = "malformed messages"
    fault = "bytes that are no message of ours, on every subject"
    passes = "0 crashes; each in the dead letters with a schema error"

    per_subject = 60
    queues = (
        subjects.ingest_request(DEFAULT_TENANT),
        subjects.embed_request(DEFAULT_TENANT),
        subjects.embed_purge(DEFAULT_TENANT),
        subjects.query_request(DEFAULT_TENANT),
        subjects.generate_request(DEFAULT_TENANT),
        "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.GENERATE.nobody",
    )
    elsewhere = (
        "rag.events.query.accepted.default",
        "rag.events.query.completed.default",
        "rag.events.document.ready.default",
        "rag.answers.default.nobody",
        "rag.terminal.default.nobody",
        "rag.cancel.default.nobody",
        "rag.resume.default.nobody",
        "rag.health.ingest.nobody",
        "rag.control.ingest",
    )

    async def run(self, trial: Trial) -> Outcome:
        outcome, seed = Outcome(), trial.random(self.name)
        async with running(seed=trial.seed, scale=trial.scale) as stack:
            work = Workload(stack)
            await work.prepare()
            async with work.going_on():
                for subject in (*self.queues, *self.elsewhere):
                    for _ in range(self.per_subject):
                        await stack.broker.nc.publish(subject, garbage(seed))
                await known_to_broker(stack.broker)
                letters = await _letters(stack, self.per_subject * len(self.queues))
                await work.is_ready(await work.submit())
                await work.answered()
            outcome.verdict = await stack.examine()
            outcome.require(not stack.fleet.crashes(), f"processes ended by themselves: {stack.fleet.crashes()}")
            codes = Counter(letter.code for letter in letters)
            outcome.require(set(codes) == {ErrorCode.INVALID_MESSAGE}, f"dead letters have the codes {codes}")
            outcome.require(
                len(letters) == self.per_subject * len(self.queues), f"{len(letters)} dead letters are not all"
            )
        return outcome


def garbage(seed: random.Random) -> bytes:
    """Nothing that any of our messages could be."""
    kind = seed.randrange(6)
    if kind == 0:
        return b""
    if kind == 1:
        return seed.randbytes(seed.randrange(1, 4096))
    if kind == 2:
        return b"[" * 1000
    if kind == 3:
        return json.dumps({"schema_version": 1, "tenant": "default", "surprise": seed.random()}).encode()
    if kind == 4:
        return json.dumps({"tenant": None, "document_id": ["\ud800"], "query": "\x00"}).encode()
    return json.dumps([seed.random() for _ in range(50)]).encode()


async def _letters(stack: Stack, at_least: int) -> list[DeadLetter]:
    """All dead letters, once there are so many."""
    storage, found = Storage(stack.broker), list[DeadLetter]()

    async def enough() -> bool:
        after = 0
        found.clear()
        while batch := await storage.following(topology.DLQ.name, f"{subjects.DEAD_LETTERS}.>", after=after):
            found.extend(DeadLetter.from_bytes(stored.data) for stored in batch)
            after = batch[-1].sequence
        return len(found) >= at_least

    await until(enough, timeout_s=LETTERS_TIMEOUT_S, what=f"{at_least} dead letters")
    return found

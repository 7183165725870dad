"""Ask a question over NATS with plain nats-py and print the answer as it comes, then its citations.

    python ask.py "How often is the varroa count taken?"

Environment: WAGGLE_NATS_URL (default nats://127.0.0.1:4222), WAGGLE_TENANT (default "default"), and where the broker has users
WAGGLE_NATS_NKEY_SEED (the file of asker-<tenant>) and WAGGLE_NATS_INBOX_PREFIX (_INBOX_asker-<tenant>).
Exit code: 0 answered, 1 failed or cancelled, 2 no question given, 3 no broker or no Waggle there, or it does not let us in.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

T = TypeVar("T")

BUDGET_S = 30.0
GRACE_S = 5.0
CONNECT_S = 5.0


async def ask(connection: Client, tenant: str, query: str) -> int:
    query_id = str(uuid.uuid4())
    subject = f"rag.answers.{tenant}.{query_id}"
    inbox: asyncio.Queue[Msg] = asyncio.Queue(maxsize=10_000)
    # Listen first, then ask: nothing that is said can be missed.
    await connection.subscribe(subject, cb=inbox.put)
    await connection.subscribe(f"{subject}.end", cb=inbox.put)
    await connection.flush()
    await connection.jetstream().publish(
        f"rag.query.requests.{tenant}",
        json.dumps({"query_id": query_id, "tenant": tenant, "query": query, "principal": "python-client"}).encode(),
        headers={
            "Nats-Msg-Id": f"{tenant}.{query_id}",
            "Waggle-Query-Id": query_id,
            "Waggle-Budget-Ms": str(int(BUDGET_S * 1000)),
        },
        timeout=5,
    )
    attempt, shown = 0, ""
    async with asyncio.timeout(BUDGET_S + GRACE_S):
        while True:
            event = json.loads((await inbox.get()).data)
            match event["kind"]:
                case "retrieved":
                    print(f"{len(event['passages'])} passages found")
                case "delta":
                    current = int(event["id"].split(".")[0])
                    if current > attempt > 0:
                        print("\n(starting again)")
                        shown = ""
                    attempt = max(attempt, current)
                    if current == attempt:  # text of an older attempt is void
                        print(event["text"], end="", flush=True)
                        shown += event["text"]
                case "completed":  # the whole answer: it overrides every delta
                    print("" if event["answer"] == shown else f"\n\n{event['answer']}")
                    for c in event["citations"]:
                        place = f"page {c['page']}" if c["page"] else c["heading"] or ""
                        print(f"  [{c['n']}] {c['name']} {place}: “{c['quote']}”")
                    return 0
                case _:
                    print(f"{event['kind']}: {event.get('message', '')}", file=sys.stderr)
                    return 1


class RefusedError(Exception):
    """The broker does not let us in, or not do what we do. It says so apart from any answer."""


async def unless_refused(work: Coroutine[Any, Any, T], refused: asyncio.Future[T]) -> T:
    """What `work` comes to. Raises `RefusedError` as soon as the broker says so, instead of when the time is up."""
    task = asyncio.ensure_future(work)
    await asyncio.wait({task, refused}, return_when=asyncio.FIRST_COMPLETED)
    if refused.done():
        task.cancel()
    return await (refused if refused.done() else task)


def refusal(error: Exception, tenant: str) -> RefusedError | None:
    said, user = str(error), f"asker-{tenant}"
    if "authorization violation" in said.lower():
        return RefusedError(
            "the broker of WAGGLE_NATS_URL does not let us in (authorization violation): set WAGGLE_NATS_NKEY_SEED to the file of "
            f"{user}, and WAGGLE_NATS_INBOX_PREFIX to _INBOX_{user}"
        )
    if "permissions violation" in said.lower():
        return RefusedError(
            f"the broker does not permit this ({said.removeprefix('nats: ')}): to ask for the tenant {tenant} (WAGGLE_TENANT), "
            f"WAGGLE_NATS_NKEY_SEED has to be the file of {user}, and WAGGLE_NATS_INBOX_PREFIX _INBOX_{user}"
        )
    return None


async def main() -> int:
    if len(sys.argv) < 2:
        print('usage: python ask.py "your question"', file=sys.stderr)
        return 2
    try:
        return await connect_and_ask(sys.argv[1])
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 3


async def connect_and_ask(query: str) -> int:
    servers = os.environ.get("WAGGLE_NATS_URL", "nats://127.0.0.1:4222").split(",")
    tenant = os.environ.get("WAGGLE_TENANT", "default")
    refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def hear(error: Exception) -> None:
        """Anything but a refusal is raised where it is waited for."""
        if (found := refusal(error, tenant)) and not refused.done():
            refused.set_exception(found)

    connecting = nats.connect(
        servers=servers,
        name="waggle-python-client",
        error_cb=hear,
        nkeys_seed=os.environ.get("WAGGLE_NATS_NKEY_SEED"),
        inbox_prefix=os.environ.get("WAGGLE_NATS_INBOX_PREFIX", "_INBOX"),
    )
    try:
        connection = await unless_refused(asyncio.wait_for(connecting, CONNECT_S), refused)
    except (TimeoutError, OSError, nats.errors.Error) as error:
        print(f"cannot reach the broker of WAGGLE_NATS_URL: {str(error) or type(error).__name__}", file=sys.stderr)
        return 3
    try:
        return await unless_refused(ask(connection, tenant, query), refused)
    except nats.js.errors.NoStreamResponseError:
        print("the broker of WAGGLE_NATS_URL takes no questions: does Waggle run on it?", file=sys.stderr)
        return 3
    except TimeoutError:
        print("no end of the answer came in time: does a keeper run? see `waggle status`", file=sys.stderr)
        return 1
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

"""Ask a question over NATS with plain nats-py and print the answer as it comes, then its citations.

    python ask.py "How often is the varroa count taken?"

Environment: WAGGLE_NATS_URL (default nats://127.0.0.1:4222), WAGGLE_TENANT (default "default").
Exit code: 0 answered, 1 failed or cancelled, 2 no question given.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

BUDGET_S = 30.0
GRACE_S = 5.0


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
    attempt = 0
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
                    attempt = max(attempt, current)
                    if current == attempt:  # text of an older attempt is void
                        print(event["text"], end="", flush=True)
                case "completed":  # the whole answer: it overrides every delta
                    print(f"\n\n{event['answer']}")
                    for c in event["citations"]:
                        place = f"page {c['page']}" if c["page"] else c["heading"] or ""
                        print(f"  [{c['n']}] {c['name']} {place}: “{c['quote']}”")
                    return 0
                case _:
                    print(f"{event['kind']}: {event.get('message', '')}", file=sys.stderr)
                    return 1


async def main() -> int:
    if len(sys.argv) < 2:
        print('usage: python ask.py "your question"', file=sys.stderr)
        return 2
    servers = os.environ.get("WAGGLE_NATS_URL", "nats://127.0.0.1:4222").split(",")
    connection = await nats.connect(servers=servers, name="waggle-python-client")
    try:
        return await ask(connection, os.environ.get("WAGGLE_TENANT", "default"), sys.argv[1])
    finally:
        await connection.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

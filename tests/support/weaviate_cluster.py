"""Three Weaviate servers that keep three copies of everything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deploy.local import ports
from tests.support.weaviate_server import WeaviateServer

NODES = ("node1", "node2", "node3")
JOINABLE_S = 60.0


@contextmanager
def weaviate_cluster(directory: Path, binary: Path) -> Iterator[Sequence[WeaviateServer]]:
    """The servers, all ready; stopped at the end."""
    nodes = [WeaviateServer(directory / name, binary, name=name) for name in NODES]
    for node in nodes:
        node.members = nodes
    with ExitStack() as running, ThreadPoolExecutor() as pool:
        for node in nodes:
            running.callback(node.stop)
        first = pool.submit(nodes[0].start)  # is ready when the others have joined
        _await_joinable(nodes[0])
        for starting in [first, *(pool.submit(node.start) for node in nodes[1:])]:
            starting.result()
        yield nodes


def _await_joinable(node: WeaviateServer) -> None:
    deadline = time.monotonic() + JOINABLE_S
    while not ports.answers("127.0.0.1", node.gossip_port):
        assert time.monotonic() < deadline, f"{node.name} takes nobody in"
        time.sleep(0.1)

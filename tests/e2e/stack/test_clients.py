"""The programs that the message API is shown with: plain NATS, no Waggle code, in two languages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.local.access import TENANT
from deploy.local.layout import Layout
from deploy.nats.users import asker
from tests.e2e.waggle import Waggle
from tests.support.nats_users import Guarded, guarded
from tests.support.node import installed

pytestmark = pytest.mark.timeout(1500)

CLIENTS = Path(__file__).parents[3] / "docs" / "clients"
QUESTION = "When does the ferry from Arnsby leave?"
TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def ferry(waggle: Waggle, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("ferry") / "ferry.txt"
    file.write_text("The ferry from Arnsby leaves at twenty past seven in the evening.", encoding="utf-8")
    waggle("ingest", str(file))


@pytest.fixture(scope="module")
def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with its one dependency installed from the lock file."""
    return installed(CLIENTS / "node", into=tmp_path_factory.mktemp("node"))


def run(
    command: list[str], *, folder: Path, code: int = 0, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == code, done.stderr or done.stdout
    return done


def shown(waggle: Waggle) -> Mapping[str, str]:
    """Where the broker is, and as whom its programs ask."""
    user = asker(TENANT)
    return {
        "WAGGLE_NATS_URL": waggle.nats_url,
        "WAGGLE_NATS_NKEY_SEED": str(Layout(waggle.data_dir).nats_users / f"{user.name}.nk"),
        "WAGGLE_NATS_INBOX_PREFIX": user.inbox,
    }


def test_the_python_client_prints_a_cited_answer(waggle: Waggle, ferry: None) -> None:
    command = [sys.executable, "ask.py", QUESTION]
    said = run(command, folder=CLIENTS / "python", environment=shown(waggle)).stdout

    assert said.split("[1] ferry.txt")[0].count("twenty past seven") == 1
    assert "[1] ferry.txt" in said


def test_the_node_client_prints_a_cited_answer(waggle: Waggle, ferry: None, node_client: Path) -> None:
    command = ["node", "ask.mjs", QUESTION]
    said = run(command, folder=node_client, environment=shown(waggle)).stdout

    assert said.split("[1] ferry.txt")[0].count("twenty past seven") == 1
    assert "[1] ferry.txt" in said


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """With users, and no streams."""
    with guarded(tmp_path_factory.mktemp("guarded")) as broker:
        yield broker


OTHERS = {"WAGGLE_NATS_NKEY_SEED": "asker-globex", "WAGGLE_NATS_INBOX_PREFIX": "_INBOX_asker-globex"}
NO_INBOX = {"WAGGLE_NATS_NKEY_SEED": "asker-acme"}
REFUSED = [({}, "does not let us in"), (OTHERS, "rag."), (NO_INBOX, "_INBOX.")]


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_the_python_client_says_at_once_that_it_is_not_let_in(
    broker: Guarded, given: Mapping[str, str], said: str
) -> None:
    not_let_in([sys.executable, "ask.py", QUESTION], CLIENTS / "python", broker, given, said)


@pytest.mark.parametrize(("given", "said"), REFUSED)
def test_the_node_client_says_at_once_that_it_is_not_let_in(
    broker: Guarded, node_client: Path, given: Mapping[str, str], said: str
) -> None:
    not_let_in(["node", "ask.mjs", QUESTION], node_client, broker, given, said)


def not_let_in(command: list[str], folder: Path, broker: Guarded, given: Mapping[str, str], said: str) -> None:
    seed = {name: str(broker.seeds.file(value)) for name, value in given.items() if name.endswith("SEED")}
    shown = {"WAGGLE_NATS_URL": broker.server.url, "WAGGLE_TENANT": "acme", **given, **seed}

    told = run(command, folder=folder, code=3, environment=shown).stderr

    assert said.lower() in told.lower()
    assert "the file of asker-acme" in told
    assert "_INBOX_asker-acme" in told
    assert len(told.splitlines()) == 1


def test_the_node_client_says_how_it_is_used(node_client: Path) -> None:
    assert "usage" in run(["node", "ask.mjs"], folder=node_client, code=2).stderr

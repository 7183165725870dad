"""Exit codes, help, and the small commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.client import GatewayError
from cli.main import Commands
from cli.output import size
from cli.rates import Rates
from cli.replies import Fleet, Member
from cli.target import gateway
from tests.unit.cli.gateways import FakeGateway


def test_every_command_has_help(waggle) -> None:
    for command in Commands.modules:
        ran = waggle(command, "--help")
        assert ran.code == 0
        assert "Usage:" in ran.out


def test_the_list_of_commands_is_the_help_of_waggle_itself(waggle) -> None:
    ran = waggle("--help")

    assert all(f"  {command} " in ran.out for command in Commands.modules)


@pytest.mark.parametrize("arguments", [["bogus"], ["ask"], ["up", "--replicas", "queen=2"], ["load", "--mix", "x"]])
def test_wrong_usage_is_exit_code_two(waggle, arguments: list[str]) -> None:
    assert waggle(*arguments).code == 2


def test_an_unknown_setting_is_exit_code_two_and_named(waggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_COLOUR", "yellow")

    ran = waggle("status")

    assert ran.code == 2
    assert "WAGGLE_COLOUR" in ran.err


def test_no_gateway_is_exit_code_three_with_what_to_do(waggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_URL", "http://127.0.0.1:9")

    ran = waggle("documents", "ls")

    assert ran.code == 3
    assert "waggle up" in ran.err


def test_that_there_are_no_documents_is_said(waggle, fake_gateway: FakeGateway) -> None:
    assert waggle("documents", "ls").out.strip() == "No documents."
    assert waggle("documents", "ls", "--state", "failed").out.strip() == "No failed documents."


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_no_broker_is_exit_code_three_with_what_to_do(
    waggle, command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setattr("cli.broker.CONNECT_S", 0.2)

    ran = waggle(command, str(tmp_path / "backup"))

    assert (ran.code, ran.out) == (3, "")
    assert "no broker answers at nats://127.0.0.1:9" in ran.err
    assert not (tmp_path / "backup").exists()


def test_secrets_are_masked_and_sources_told(waggle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "waggle.toml"
    file.write_text("chunk_tokens = 150\n", encoding="utf-8")
    monkeypatch.setenv("WAGGLE_CONFIG", str(file))
    monkeypatch.setenv("WAGGLE_NATS_PASSWORD", "honey")

    ran = waggle("config", "show", "--json")

    shown = {item["variable"]: item for item in json.loads(ran.out)["items"]}
    assert "honey" not in ran.out
    assert shown["WAGGLE_NATS_PASSWORD"]["source"] == "environment"
    assert (shown["WAGGLE_CHUNK_TOKENS"]["value"], shown["WAGGLE_CHUNK_TOKENS"]["source"]) == (150, str(file))
    assert shown["WAGGLE_TRACK"]["source"] == "default"


def test_deleting_reports_each_document(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.documents["d1"] = {"document_id": "d1", "name": "a", "version": 1, "state": "ready"}

    ran = waggle("documents", "rm", "d1", "d2")

    assert ran.code == 1
    assert "✓ d1" in ran.out
    assert "✗ d2" in ran.out


def test_the_port_of_the_gateway_says_where_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(tmp_path))
    assert gateway().url == "http://127.0.0.1:8080"
    monkeypatch.setenv("WAGGLE_GATEWAY_PORT", "8099")
    assert gateway().url == "http://127.0.0.1:8099"
    monkeypatch.setenv("WAGGLE_URL", "http://elsewhere:1")
    assert gateway().url == "http://elsewhere:1"


def test_top_writes_one_table_after_the_other_where_there_is_no_terminal(waggle, fake_gateway: FakeGateway) -> None:
    ran = waggle("top", "--count", "2", "--interval", "0.2")
    assert ran.code == 0
    assert ran.out.count("service") == 2
    assert ran.out.endswith("\n")


def test_down_with_nothing_running_says_so(waggle) -> None:
    ran = waggle("down")

    assert ran.code == 0
    assert "Nothing runs" in ran.out


def test_logs_without_a_stack_say_how_to_get_one(waggle) -> None:
    ran = waggle("logs")

    assert ran.code == 1
    assert "waggle up" in ran.err


def test_a_process_does_not_carry_what_only_people_need() -> None:
    """Each worker is a process: what it imports counts once for each replica."""
    program = (
        "import sys, typer\n"
        "from cli.main import app\n"
        "assert typer.main.get_command(app).get_command(None, 'worker')\n"
        "print([m for m in ('httpx', 'torch', 'lancedb', 'fastapi') if m in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert ran.stdout.splitlines()[-1] == "[]"


def test_rates_are_growth_per_second_and_begin_anew_after_a_restart() -> None:
    now = 0.0
    rates = Rates(clock=lambda: now)
    member = Member(service="embed", instance="embed-1", state="ready", progress=10, cpu_s=1.0)

    rates.look([member])
    assert rates.progress(member) == 0
    now = 2.0
    later = member.model_copy(update={"progress": 30, "cpu_s": 2.0})
    rates.look(Fleet(items=(later,)).items)

    assert (rates.progress(later), rates.cpu(later)) == (10, 0.5)


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB"), (None, "")])
def test_sizes_have_units(count: int | None, said: str) -> None:
    assert size(count) == said


@pytest.mark.parametrize("letter_id", ["../documents/d1", "..", "", "INGEST.1-1/../x", "INGEST"])
async def test_no_letter_leads_to_another_path(fake_gateway: FakeGateway, letter_id: str) -> None:
    async with fake_gateway.client() as client:
        with pytest.raises(GatewayError, match="no dead letter"):
            await client.drop_dead_letter(letter_id)
    assert fake_gateway.requests == []

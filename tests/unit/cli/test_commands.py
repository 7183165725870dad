"""Exit codes, help, and the small commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli.broker import broker_settings
from cli.client import GatewayError
from cli.configuration import telemetry_variables
from cli.main import Commands
from cli.output import size
from cli.rates import Rates
from cli.replies import Fleet, Member, Problem
from cli.target import gateway
from deploy.local.addresses import RunningStack
from tests.unit.cli.gateways import FakeGateway


def test_every_command_has_help(waggle) -> None:
    for command in Commands.modules:
        ran = waggle(command, "--help")
        assert ran.code == 0
        assert "Usage:" in ran.out
        assert "╭" not in ran.out


def test_the_list_of_commands_is_the_help_of_waggle_itself(waggle) -> None:
    ran = waggle("--help")

    assert all(f"  {command} " in ran.out for command in Commands.modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["ask"],
        ["up", "--replicas", "queen=2"],
        ["up", "--port", "99999"],
        ["up", "--nats-port", "-1"],
        ["load", "--mix", "x"],
        ["restore", "/nonexistent"],
        ["backup", __file__],
    ],
)
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
    folder = tmp_path / "backup"
    folder.mkdir()

    ran = waggle(command, str(folder))

    assert (ran.code, ran.out) == (3, "")
    assert "no broker answers at nats://127.0.0.1:9" in ran.err
    assert not list(folder.iterdir())


def test_waiting_for_a_broker_is_said_in_a_sentence_and_not_in_log_lines(
    waggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setattr("cli.broker.SILENT_S", 0.0)
    monkeypatch.setattr("cli.broker.CONNECT_S", 0.5)

    ran = waggle("endpoints", "ls")

    assert ran.code == 3
    assert ran.err.startswith("Waiting for the broker at nats://127.0.0.1:9\nError: no broker answers")


def test_credentials_that_cannot_be_read_are_exit_code_two_and_named(
    waggle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_TLS_CA", str(tmp_path / "nothing"))

    for command in (["endpoints", "ls"], ["worker", "keeper"]):
        ran = waggle(*command)
        assert (ran.code, "WAGGLE_NATS_TLS_CA" in ran.err) == (2, True)


def test_a_stack_without_its_broker_is_exit_code_three_within_the_time(waggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")

    ran = waggle("up", "--detach", "--port", "0", "--timeout", "0.5")

    assert ran.code == 3
    assert "no broker answers at nats://127.0.0.1:9" in ran.err


def test_a_data_folder_that_cannot_be_used_is_one_line_and_exit_code_two(
    waggle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(file))

    ran = waggle("up", "--detach", "--port", "0", "--nats-port", "0")

    assert ran.code == 2
    assert f"Error: The data folder {file} cannot be used (Not a directory)" in ran.err
    assert "Traceback" not in ran.err


def test_a_stack_that_is_down_is_not_silently_mistaken_for_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(tmp_path))
    gateway()
    assert not capfd.readouterr().err

    (tmp_path / "run").mkdir()
    gateway()
    broker_settings()

    told = " ".join(capfd.readouterr().err.split())
    assert f"The stack of {tmp_path} does not run; this goes to http://127.0.0.1:8080" in told
    assert f"The stack of {tmp_path} does not run; this goes to nats://127.0.0.1:4222" in told


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


def test_the_addresses_of_the_stack_that_runs_here_are_in_force(waggle, monkeypatch: pytest.MonkeyPatch) -> None:
    running = RunningStack(url="http://127.0.0.1:8099", nats_url="nats://127.0.0.1:4299", expected={})
    monkeypatch.setattr(RunningStack, "read", lambda _: running)

    shown = {item["variable"]: item for item in json.loads(waggle("config", "show", "--json").out)["items"]}

    for variable, value in (("URL", running.url), ("NATS_URL", running.nats_url), ("GATEWAY_PORT", 8099)):
        assert shown[f"WAGGLE_{variable}"]["value"] == value
        assert shown[f"WAGGLE_{variable}"]["source"] == "the stack that runs here"


def test_deleting_reports_each_document(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.documents["d1"] = {"document_id": "d1", "name": "a", "version": 1, "state": "ready"}

    ran = waggle("documents", "rm", "d1", "d2")

    assert ran.code == 1
    assert "✓ d1" in ran.out
    assert "✗ d2" in ran.out


def test_advice_of_the_gateway_names_the_command_and_not_the_path() -> None:
    told = GatewayError(Problem(status=404, detail="There is no document d9. `/v1/documents` lists them."))

    assert str(told) == "There is no document d9. `waggle documents ls` lists them."


def test_the_port_of_the_gateway_says_where_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(tmp_path))
    assert gateway().url == "http://127.0.0.1:8080"
    monkeypatch.setenv("WAGGLE_GATEWAY_PORT", "8099")
    assert gateway().url == "http://127.0.0.1:8099"
    monkeypatch.setenv("WAGGLE_URL", "http://elsewhere:1")
    assert gateway().url == "http://elsewhere:1"


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("unknown", 0), ("degraded", 0), ("failing", 1)])
def test_a_worker_that_waits_for_something_is_not_well(
    waggle, fake_gateway: FakeGateway, status: str, code: int
) -> None:
    fake_gateway.checks = [{"name": "generator", "status": status, "detail": "start it, or check its address"}]
    ran = waggle("status")
    assert ran.code == code
    assert ("generator failing: start it, or check its address" in ran.out) == (status == "failing")


def test_status_says_which_observer_leads(waggle, fake_gateway: FakeGateway) -> None:
    assert "leads" not in waggle("status").out
    fake_gateway.facts = {"leads": "yes"}
    assert "leads" in waggle("status").out


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


def test_opentelemetrys_variables_are_shown_and_their_headers_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=hunter2")
    shown = {each.variable: each for each in telemetry_variables()}
    assert shown["OTEL_EXPORTER_OTLP_ENDPOINT"].value == "http://127.0.0.1:4318"
    assert shown["OTEL_EXPORTER_OTLP_ENDPOINT"].source == "environment"
    assert shown["OTEL_SDK_DISABLED"].value is None
    assert "OTEL_EXPORTER_OTLP_TRACES_HEADERS" in shown
    assert "hunter2" not in str(shown)

"""`waggle nats config`: what a real nats-server takes, and seeds that stay."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.exits import CommandError
from cli.main import app
from contracts.settings_source import ConfigurationError
from deploy.local.nats_server import find_binary
from deploy.nats.users import PLATFORM


def config(folder: Path, *options: str) -> str:
    ran = CliRunner().invoke(app, ["nats", "config", "--write", str(folder), *options], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def accepted(text: str, folder: Path) -> bool:
    file = folder / "nats-server.conf"
    file.write_text(f"jetstream {{ store_dir: {json.dumps(str(folder / 'store'))} }}\n{text}", encoding="utf-8")
    return (
        subprocess.run([find_binary(), "-t", "-c", file], capture_output=True, timeout=30, check=False).returncode == 0
    )


def test_a_real_server_accepts_it(tmp_path: Path) -> None:
    text = config(tmp_path / "users", "--tenant", "acme", "--tenant", "globex")
    assert accepted(text, tmp_path)
    assert not accepted(text.replace('"nkey": "U', '"nkey": "X', 1), tmp_path)


def test_json_says_the_same(tmp_path: Path) -> None:
    part = json.loads(config(tmp_path / "users", "--tenant", "acme", "--json"))
    assert set(part["accounts"]) == {"WAGGLE", "WAGGLE-default", "WAGGLE-acme"}
    assert len(part["accounts"]["WAGGLE"]["users"]) == len(PLATFORM)
    assert "accounts: " + json.dumps(part["accounts"], indent=2) + "\n" == config(tmp_path / "users")


def test_a_second_time_yields_the_same_and_keeps_tenants(tmp_path: Path) -> None:
    first = config(tmp_path, "--tenant", "acme")
    seeds = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert config(tmp_path) == first
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == seeds


def test_seeds_are_their_owners_alone_and_not_in_the_configuration(tmp_path: Path) -> None:
    text = config(tmp_path / "users")
    files = list((tmp_path / "users").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "users").stat().st_mode) == 0o700
    seeds = [file.read_text(encoding="ascii") for file in files]
    assert len(set(seeds)) == len(seeds)
    assert not any(seed in text for seed in seeds)


def test_a_seed_that_was_removed_is_made_anew_and_the_old_one_opens_nothing(tmp_path: Path) -> None:
    before = json.loads(config(tmp_path, "--json"))["accounts"]["WAGGLE"]["users"]
    (tmp_path / "embed.nk").unlink()
    after = json.loads(config(tmp_path, "--json"))["accounts"]["WAGGLE"]["users"]
    changed = [old["nkey"] for old, new in zip(before, after, strict=True) if old["nkey"] != new["nkey"]]
    assert len(changed) == 1


@pytest.mark.parametrize("tenant", ["a.b", "*", ">", ""])
def test_what_is_no_tenant_is_refused(tmp_path: Path, tenant: str) -> None:
    with pytest.raises(CommandError, match="tenant"):
        config(tmp_path, "--tenant", tenant)


def test_a_file_that_is_no_seed_is_named(tmp_path: Path) -> None:
    (tmp_path / "embed.nk").write_text("nonsense", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"embed\.nk"):
        config(tmp_path)

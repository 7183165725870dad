"""What is promised about dependencies and processes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAVY = ("aiohttp", "torch", "transformers", "sentence_transformers", "lancedb", "pyarrow", "weaviate", "vllm")


def direct_dependencies() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(w for extra in project["optional-dependencies"].values() for w in extra)]
    names = {re.match(r"[\w.-]+", each)[0] for each in wanted}  # type: ignore[index]  # every requirement has a name
    return sorted(names - {"waggle-rag"})


@pytest.mark.parametrize("name", direct_dependencies())
def test_each_direct_dependency_has_its_reason(name: str) -> None:
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    assert re.search(rf"^\| ([\w., -]+, )?{re.escape(name)}(,[^|]*)? \|", table, re.MULTILINE)


def test_the_lock_pins_everything_with_hashes_and_names_no_server() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^[\w.-]+==[^\s\\]+", lock, re.MULTILINE)

    assert len(pinned) > 50
    assert all(re.search(rf"^{re.escape(each)}[^\n]*\\\n    --hash=sha256:", lock, re.MULTILINE) for each in pinned)
    assert "://" not in lock


@pytest.mark.parametrize(
    "module",
    [
        "gateway.server",
        "workers.ingest.worker",
        "workers.generate.worker",
        "workers.keeper.worker",
        "workers.observer.worker",
        "workers.operator.worker",
        "cli.main",
    ],
)
def test_a_light_process_imports_nothing_heavy(module: str) -> None:
    """Without an encoder or an index in it, a process stays below 150 MB and starts within seconds."""
    program = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)

    assert ran.stdout.split() == []


def test_the_sample_documents_are_part_of_the_package() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]
    listed = packages["wheel"]["packages"]

    assert "cli" in listed
    assert not {"tests", "benchmarks"} & set(listed)
    assert list((ROOT / "cli" / "demo" / "documents").iterdir())

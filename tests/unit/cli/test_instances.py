"""`waggle start|stop|restart|scale` against a real supervisor with programs of a few lines, and a gateway of a few more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.client import GatewayClient
from cli.replies import Fleet, Member
from deploy.local.supervision import Supervisor
from tests.support.commands import Ran
from tests.unit.deploy.test_local_platform import LocalSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    """In the folder that `waggle` uses."""
    made = LocalSite(tmp_path)
    yield made
    made.stack.stop()


@pytest.fixture(autouse=True)
def no_broker_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.acting.BESIDE_S", 0.05)


@pytest.fixture
def ready(site: LocalSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway says that whatever runs is ready."""

    async def fleet(_: GatewayClient) -> Fleet:
        running = [process for process in Supervisor(site.layout).processes() if process.pid]
        return Fleet(
            items=tuple(Member(service="embed", instance=p.name, pid=p.pid, state="ready") for p in running),
        )

    monkeypatch.setattr(GatewayClient, "fleet", fleet)


def pids(site: LocalSite) -> dict[str, int]:
    return {process.name: process.pid for process in Supervisor(site.layout).processes()}


def test_scaling_tells_what_was_started_and_stopped(site: LocalSite, ready: None, waggle: Callable[..., Ran]) -> None:
    assert waggle("scale", "embed", "3").out == "embed: 1 → 3, started embed-2, embed-3\n"
    assert waggle("scale", "embed", "2", "--json").json == {
        "service": "embed", "before": 3, "after": 2, "started": [], "stopped": ["embed-3"],
    }  # fmt: skip
    assert waggle("scale", "embed", "2").out == "embed: 2 → 2\n"


def test_a_process_is_stopped_and_started(site: LocalSite, ready: None, waggle: Callable[..., Ran]) -> None:
    assert waggle("stop", "embed-1").out == "embed-1 is stopped.\n"
    assert not pids(site)["embed-1"]
    assert waggle("start", "embed-1").out == "embed-1 is ready.\n"
    assert pids(site)["embed-1"]


def test_where_no_broker_can_be_told_it_is_done_and_said(
    site: LocalSite, ready: None, waggle: Callable[..., Ran]
) -> None:
    ran = waggle("restart", "embed-1")

    assert (ran.code, ran.out) == (0, "embed-1 was restarted and is ready.\n")
    assert "The audit will not have this: no broker answers at" in ran.err


def test_a_restart_is_told_with_the_new_process(site: LocalSite, ready: None, waggle: Callable[..., Ran]) -> None:
    before = pids(site)["embed-1"]

    told = waggle("restart", "embed-1", "--json").json

    assert (told["instance"], told["state"]) == ("embed-1", "running")
    assert told["pid"] == pids(site)["embed-1"] != before


def test_a_service_is_restarted_one_after_another_stopped_and_started(
    site: LocalSite, ready: None, waggle: Callable[..., Ran]
) -> None:
    waggle("scale", "embed", "2")
    before = pids(site)

    assert (
        waggle("restart", "embed").out == "embed-1 was restarted and is ready.\nembed-2 was restarted and is ready.\n"
    )
    assert not set(before.values()) & {pids(site)["embed-1"], pids(site)["embed-2"]}

    stopped = waggle("stop", "embed", "--json").json["items"]
    assert [(each["instance"], each["state"]) for each in stopped] == [("embed-2", "stopped"), ("embed-1", "stopped")]
    assert waggle("stop", "embed").out == "No embed runs.\n"
    assert waggle("restart", "embed").out == "No embed runs: `waggle start embed` has one run.\n"
    assert waggle("start", "embed").out == "embed-1 is ready.\n"
    assert waggle("start", "embed").out == "embed runs. `waggle scale embed N` has more of it run.\n"
    assert waggle("start", "embed", "--json").json == {"items": []}
    assert [name for name, pid in pids(site).items() if pid] == ["embed-1", "keeper-1"]


def test_only_what_runs_is_offered_to_who_names_what_is_not_there(
    site: LocalSite, ready: None, waggle: Callable[..., Ran]
) -> None:
    assert "There are: embed, embed-1, keeper, keeper-1." in waggle("restart", "nosuch").err
    waggle("scale", "embed", "2")
    waggle("scale", "embed", "1")
    assert "Did you mean embed-1 or embed?" in waggle("restart", "embed-7").err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("restart", "embd-1"), "Did you mean embed-1"),
        (("stop", "*"), "is not the name of one instance"),
        (("restart", "nats"), "is the broker"),
        (("scale", "embed", "9"), "1 to 3, not 9. To have room for more, set WAGGLE_MAX_REPLICAS"),
        (("stop", "keeper-1"), "waggle restart keeper-1"),
        (("stop", "keeper"), "waggle restart keeper-1"),
    ],
)
def test_refusals_say_what_to_do_and_end_as_wrong_usage(
    site: LocalSite, waggle: Callable[..., Ran], arguments: tuple[str, ...], said: str
) -> None:
    before = pids(site)

    ran = waggle(*arguments)

    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""
    assert pids(site) == before


def test_what_was_done_before_one_failed_is_told(
    site: LocalSite, waggle: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first_only(_: GatewayClient) -> Fleet:
        running = [process for process in Supervisor(site.layout).processes() if process.pid]
        return Fleet(
            items=tuple(
                Member(service="embed", instance=p.name, pid=p.pid, state="ready")
                for p in running
                if p.name == "embed-1"
            )
        )

    monkeypatch.setattr(GatewayClient, "fleet", first_only)
    waggle("scale", "embed", "2", "--timeout", "0")

    ran = waggle("restart", "embed", "--json", "--timeout", "2")

    assert ran.code == 1
    assert [each["instance"] for each in ran.json["items"]] == ["embed-1"]


def test_without_a_stack_it_is_said_how_to_start_one(waggle: Callable[..., Ran]) -> None:
    ran = waggle("scale", "embed", "2")

    assert ran.code == 3
    assert "waggle up" in ran.err


def test_what_is_not_ready_in_time_is_told_with_its_log(
    site: LocalSite, waggle: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(_: GatewayClient) -> Fleet:
        return Fleet(items=(Member(service="embed", instance="embed-2", pid=1, state="ready"),))

    monkeypatch.setattr(GatewayClient, "fleet", nobody)
    ran = waggle("start", "embed-2", "--timeout", "2")

    assert ran.code == 1
    assert "not ready after 2 s" in ran.err
    assert "begins" in ran.err


def test_what_cannot_start_is_not_waited_for(tmp_path: Path, waggle: Callable[..., Ran]) -> None:
    site = LocalSite(tmp_path, script="echo no such model; exit 2")
    try:
        ran = waggle("start", "embed-2")
    finally:
        site.stack.stop()

    assert ran.code == 1
    assert "ends as soon as it is started (exit status 2)" in ran.err
    assert "no such model" in ran.err

"""The harness itself: its points exist, its plans happen once, its oracle can count."""

from __future__ import annotations

import asyncio
import inspect
import os
import random
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.nats_server import NatsServer
from tests.faults import campaign
from tests.faults.alarms import HASTENED_FOR, hastened_rules
from tests.faults.books import Books
from tests.faults.client import Client
from tests.faults.clocks import clock_library, shifted
from tests.faults.disks import image_disk
from tests.faults.documents import PARTS, parts_in, text_of
from tests.faults.durability import ForgetfulServer
from tests.faults.link import HOST, link_to
from tests.faults.plans import InHand, Plan, Plans, Strike
from tests.faults.points import POINTS, Point
from tests.faults.report import Report
from tests.faults.row import NotPossibleHere, Outcome, Trial
from tests.faults.rows import CONTROLS, ROWS
from tests.faults.rows.kills import targets
from tests.faults.rows.power import PowerCut
from tests.faults.stack import PROCESSES
from tests.faults.verdict import BREACHES, Verdict
from tests.support.collectors import hanging_collector
from workers.observer.worker import SHIPPED_RULES


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_point_is_a_coroutine_function_of_production_code(point: Point) -> None:
    module, _, path = point.where.partition(":")
    function = import_module(module)
    for step in path.split("."):
        function = getattr(function, step)
    assert inspect.iscoroutinefunction(function)


def test_points_and_rows_have_names_of_their_own() -> None:
    for things in (POINTS, (*ROWS, *CONTROLS)):
        names = [thing.name for thing in things]
        assert len(set(names)) == len(names)


def test_a_plan_is_claimed_by_one_and_never_again(tmp_path: Path) -> None:
    plans, plan = Plans(tmp_path), Plan(point="embed.written")
    plans.arm(plan)
    assert plans.armed("embed.written") == plan
    assert [plans.claim(plan), plans.claim(plan)] == [True, False]
    assert plans.armed("embed.written") is None


def test_strikes_are_remembered_with_what_was_in_hand(tmp_path: Path) -> None:
    plans, plan = Plans(tmp_path), Plan(point="embed.written")
    strike = Strike(
        plan=plan.id, point=plan.point, pid=7, in_hand=(InHand(stream="EMBED", consumer="embed", sequence=3),)
    )
    plans.record(strike)
    assert plans.strikes(plan) == [strike]


def test_a_short_campaign_strikes_every_kind_of_process_and_a_long_one_every_point() -> None:
    some = targets(random.Random(1))
    kinds = set(PROCESSES.values())
    assert {next(some).service for _ in kinds} == kinds
    everything = targets(random.Random(1))
    names = {next(everything).name for _ in range(len(POINTS) + len(kinds))}
    assert names == {point.name for point in POINTS} | {f"{kind}.idle" for kind in kinds}


def test_the_same_seed_strikes_the_same_points() -> None:
    first, second = targets(random.Random(5)), targets(random.Random(5))
    assert [next(first) for _ in range(100)] == [next(second) for _ in range(100)]


def test_documents_tell_of_their_versions() -> None:
    text = text_of("d", 3, random.Random(1))
    parts = parts_in([text.content])
    assert {part.version for part in parts} == {3}
    assert {part.number for part in parts} == set(range(PARTS))


@pytest.mark.parametrize("breach", BREACHES)
def test_a_single_breach_is_no_clean_verdict(breach: str) -> None:
    assert Verdict().clean
    assert Verdict().note(breach, "an example").breaches == {breach: 1}


def test_a_later_look_counts_documents_anew_and_adds_up_the_rest() -> None:
    total = Verdict(accepted=3, queries=5, lost=1).then(Verdict(accepted=4, queries=2))
    assert (total.accepted, total.queries, total.lost) == (4, 7, 1)


def test_only_hastened_alerts_differ_from_those_that_are_shipped(tmp_path: Path) -> None:
    changed = [
        (before["alert"], after["for"])
        for before, after in zip(
            _alerts(SHIPPED_RULES), _alerts(hastened_rules(tmp_path / "rules", ["ClockSkewed"])), strict=True
        )
        if before != after
    ]
    assert changed == [("ClockSkewed", HASTENED_FOR)]


def test_the_forgetful_server_differs_only_in_when_it_syncs(tmp_path: Path) -> None:
    always, default = NatsServer(tmp_path).config(), ForgetfulServer(tmp_path).config()
    assert set(always.splitlines()) - set(default.splitlines()) == {"  sync_interval: always"}


def test_a_power_cut_loses_what_was_not_synced_and_nothing_else() -> None:
    try:
        with image_disk() as disk:
            (disk.path / "synced").write_text("kept")
            disk.sync()
            (disk.path / "unsynced").write_text("lost")
            disk.cut()
            disk.power_up()
            assert (disk.path / "synced").read_text() == "kept"
            assert not (disk.path / "unsynced").exists()
    except NotPossibleHere as reason:
        pytest.skip(str(reason))


def test_a_shifted_clock_is_off_and_durations_are_not(tmp_path: Path) -> None:
    code = "import time; begun = time.monotonic(); time.sleep(0.1); print(time.time(), time.monotonic() - begun)"
    try:
        environment = shifted(clock_library(tmp_path), -3600)
    except NotPossibleHere as reason:
        pytest.skip(str(reason))
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    now, passed_s = map(float, told.stdout.split())
    assert abs(now - (time.time() - 3600)) < 600
    assert 0.1 <= passed_s < 600


async def test_what_cannot_be_tried_here_counts_neither_way() -> None:
    class Unmountable(PowerCut):
        async def run(self, trial: Trial) -> Outcome:
            raise NotPossibleHere("no disk can be mounted here")

    lines = await campaign.run([Unmountable], Trial())
    assert [line.result for line in lines] == ["not run: no disk can be mounted here"]
    assert Report(seed=1, lines=lines, durability_cost_ratio=1.0).passed


async def test_a_submission_that_is_cut_off_may_have_been_accepted() -> None:
    text, books = text_of("d", 1, random.Random(1)), Books()
    with hanging_collector() as url:
        async with Client.of(url, books) as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await client.submit(text)
    assert books.uncertain == {"d"}


async def test_a_silent_link_holds_back_and_a_refused_one_closes() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with (
        await asyncio.start_server(echo, HOST, 0) as server,
        link_to(server.sockets[0].getsockname()[1]) as link,
        asyncio.timeout(20),
    ):
        reader, writer = await asyncio.open_connection(HOST, link.port)
        await link.silence()
        writer.write(b"hum\n")
        reading = asyncio.create_task(reader.readline())
        assert not (await asyncio.wait({reading}, timeout=0.3))[0]
        await link.restore()
        assert await reading == b"hum\n"
        await link.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, link.port)
        writer.close()


def _alerts(folder: Path) -> list[dict[str, Any]]:
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yaml"))]
    groups = [group for document in documents for group in document["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]

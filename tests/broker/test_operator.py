"""The operator carries out what is signed, recent and within its bounds, once, and says what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.control import ControlAction, ControlOrder
from contracts.diagnoses import RecommendedAction as Act
from contracts.documents import PurgeRequest
from contracts.health import EXIT_CONFIGURATION
from contracts.platforms import InstanceState
from contracts.recovery import MOST_CAPTURED_BYTES, CommandOutcome, RecoveryCommand, RecoveryResult
from contracts.settings import OperatorSettings, ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.configuration import ConfigBook
from messaging.consumers import standing
from messaging.control import ControlDesk
from messaging.delivery import Delivery
from messaging.recovery import CommandDesk
from messaging.recovery.pausing import KEY as KEY_OF_PAUSE
from messaging.recovery.pausing import PauseSwitch
from messaging.storage import Storage
from tests.support.platforms import MemoryPlatform, slots
from tests.support.recovery import KEY, command, operating
from tests.support.waiting import until
from tests.support.workers import running
from workers.operator.actions.restart import HUNG_PATIENCE_S
from workers.operator.worker import build

DONE, REFUSED, UNKNOWN = CommandOutcome.DONE, CommandOutcome.REFUSED, CommandOutcome.UNKNOWN
ANSWER_S = 60.0


@pytest.fixture
def platform() -> MemoryPlatform:
    return MemoryPlatform(
        *slots("embed", running=2, of=3), *slots("retrieve", running=10), *slots("operator", running=1)
    )


@pytest.fixture
async def operator(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, platform: MemoryPlatform, table: Topology
) -> AsyncIterator[WorkerApp]:
    async with operating(nats_server.url, tmp_path, platform, table=table) as app:
        yield app


class Orders:
    """Orders as the observer gives them."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.desk = CommandDesk(broker, KEY)

    def make(self, action: Act, name: str, service: str, **fields) -> RecoveryCommand:
        return command(action, name, service, now=self.broker.clock.now(), **fields)

    async def __call__(self, action: Act, name: str, service: str, **fields) -> RecoveryResult:
        given = await self.desk.issue(self.make(action, name, service, **fields))
        return await self.desk.result(given.id, timeout_s=ANSWER_S)

    async def raw(self, given: RecoveryCommand, *, subject: str | None = None) -> RecoveryResult:
        """As whoever may publish on the subject can do it."""
        subject = subject or subjects.recovery_command(given.target)
        await self.broker.publish(subject, given, stream=topology.OPS, message_id=given.id)
        return await self.desk.result(given.id, timeout_s=ANSWER_S)


@pytest.fixture
def order(broker: Broker) -> Orders:
    return Orders(broker)


async def results(broker: Broker) -> int:
    return await Storage(broker).count(topology.OPS.name, "rag.recovery.results.*")


async def operators_are_idle(broker: Broker) -> bool:
    found = await standing(broker, topology.OPERATORS)
    return found is not None and not found.pending and not found.ack_pending


class TestWhatIsDone:
    async def test_an_instance_is_restarted_and_what_it_leaves_behind_is_kept(
        self, operator, order: Orders, platform: MemoryPlatform
    ) -> None:
        result = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert (result.outcome, platform.changes) == (DONE, ["restart embed-1"])
        assert platform.patience_s == HUNG_PATIENCE_S, "it is silent, and has nothing to finish"
        assert "process 1001 → 1002" in result.detail
        assert "embed-1 says its last words" in result.captured
        assert "stacks of embed-1" in result.captured
        assert "embed: Standing(" in result.captured
        assert len(result.captured.encode()) <= MOST_CAPTURED_BYTES

    async def test_an_instance_that_answers_tells_its_own_stacks(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        settings = ProcessSettings(nats_url=nats_server.url, instance="embed-1", data_dir=tmp_path / "embed")
        async with (
            operating(nats_server.url, tmp_path, platform, table=table, listen_s=3.5),
            running(WorkerApp(settings, service="embed", table=table)),
        ):
            result = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert result.outcome is DONE
        assert "Task heartbeats" in result.captured
        assert platform.patience_s is None, "it may finish what it has in hand"

    async def test_more_instances_run(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        result = await order(Act.SCALE_UP, "embed", "embed", replicas=3)

        assert (result.outcome, result.detail) == (DONE, "embed: 2 → 3; started embed-3")
        assert result.replicas == 3

    async def test_fewer_instances_run_where_one_that_stays_is_ready(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        settings = ProcessSettings(nats_url=nats_server.url, instance="embed-1", data_dir=tmp_path / "embed")
        async with (
            operating(nats_server.url, tmp_path, platform, table=table, listen_s=3.5),
            running(WorkerApp(settings, service="embed", table=table)),
        ):
            result = await order(Act.SCALE_DOWN, "embed", "embed", replicas=1)

        assert (result.outcome, result.detail) == (DONE, "embed: 2 → 1; stopped embed-2")

    async def test_what_is_so_already_is_left_alone(self, operator, order: Orders) -> None:
        result = await order(Act.SCALE_UP, "embed", "embed", replicas=2)

        assert (result.outcome, result.detail) == (DONE, "embed: 2 → 2; it was so already")
        assert result.replicas is None  # whoever made it so, it was not this order

    async def test_the_standby_is_asked_first_and_the_change_is_attributed(
        self, operator, order: Orders, broker: Broker
    ) -> None:
        result = await order(Act.FAILOVER, "generator", "generate", standby=True, reason="the first choice is away")

        revision = await ConfigBook(broker).current()
        assert revision is not None
        assert (result.outcome, revision.number) == (DONE, 1)
        assert revision.values.given == {"active_endpoints": "standby"}
        assert (revision.principal, revision.because) == ("operator", "the first choice is away")

    async def test_the_index_is_used_at_its_other_address_and_at_the_first_one_again(
        self, operator, order: Orders, broker: Broker
    ) -> None:
        book = ConfigBook(broker)
        there = await order(Act.FAILOVER, "index", "retrieve", standby=True)
        revision = await book.current()
        assert revision is not None
        assert (there.outcome, revision.values.given) == (DONE, {"active_index": "standby"})
        assert there.detail == "the index is used at its standby address: revision 1"

        await order(Act.FAILOVER, "index", "retrieve", standby=False)
        revision = await book.current()
        assert revision is not None
        assert revision.values.given == {"active_index": "primary"}

    async def test_an_earlier_revision_counts_again(self, operator, order: Orders, broker: Broker) -> None:
        book = ConfigBook(broker)
        await book.change({"top_k": 3}, principal="ada", because="a test")
        await book.change({"top_k": 50}, principal="ada", because="a mistake")

        result = await order(Act.ROLLBACK, "runtime", "retrieve", revision=1)

        revision = await book.current()
        assert revision is not None
        assert (result.outcome, revision.values.given, revision.restores) == (DONE, {"top_k": 3}, 1)

    async def test_caches_are_cleared_in_the_processes_of_the_service(
        self, broker: Broker, nats_server, tmp_path: Path, platform, table: Topology, order: Orders
    ) -> None:
        forgotten: list[str] = []

        def forget() -> int:
            forgotten.append("all")
            return 3

        settings = ProcessSettings(nats_url=nats_server.url, instance="retrieve-1", data_dir=tmp_path / "retrieve")
        retrieve = WorkerApp(settings, service="retrieve", table=table)
        retrieve.forgets(forget)
        async with operating(nats_server.url, tmp_path, platform, table=table, listen_s=3.5), running(retrieve):
            result = await order(Act.CLEAR_CACHE, "retrieve", "retrieve")

        assert result.outcome is DONE
        assert "of 1 processes of retrieve 1 forgot theirs" in result.detail
        assert forgotten == ["all"]


class TestWhatIsRefused:
    async def test_what_is_not_signed(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        result = await order.raw(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "not signed" in result.detail

    async def test_what_was_changed_after_it_was_signed(
        self, operator, order: Orders, platform: MemoryPlatform
    ) -> None:
        signed = KEY.sign(order.make(Act.SCALE_UP, "embed", "embed", replicas=2))

        result = await order.raw(signed.model_copy(update={"replicas": 3}))

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "WAGGLE_RECOVERY_KEY_FILE" in result.detail

    async def test_what_comes_on_the_subject_of_another_target(self, operator, order: Orders) -> None:
        signed = KEY.sign(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))

        result = await order.raw(signed, subject=f"{subjects.RECOVERY_COMMANDS}.instance_embed-2")

        assert result.outcome is REFUSED

    async def test_what_came_too_late(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        result = await order(Act.RESTART_SERVICE, "embed-1", "embed", expires_s=-1)

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "expired" in result.detail

    async def test_a_token_older_than_one_before_also_after_a_restart(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        async with operating(nats_server.url, tmp_path, platform, table=table):
            await order(Act.SCALE_UP, "embed", "embed", replicas=2, token=9)
        async with operating(nats_server.url, tmp_path, platform, table=table):
            result = await order(Act.SCALE_UP, "embed", "embed", replicas=3, token=8)
            again = await order(Act.SCALE_UP, "embed", "embed", replicas=3, token=9)

        assert (result.outcome, again.outcome) == (REFUSED, DONE)
        assert "older than 9" in result.detail

    async def test_tokens_of_another_bucket_of_leases_begin_anew(self, operator, order: Orders, broker: Broker) -> None:
        await order(Act.SCALE_UP, "embed", "embed", replicas=2, token=9)
        await broker.js.delete_stream("KV_leases")
        await _provisioned(broker)

        assert (await order(Act.SCALE_UP, "embed", "embed", replicas=3, token=1)).outcome is DONE

    async def test_whatever_comes_while_repairs_are_paused(
        self, operator, order: Orders, platform: MemoryPlatform, broker: Broker
    ) -> None:
        switch = PauseSwitch(broker)
        await switch.pause("I am at it", timedelta(hours=1), principal="ada")
        held = await order(Act.RESTART_SERVICE, "embed-1", "embed")
        await switch.resume(principal="ada")
        done = await order(Act.RESTART_SERVICE, "embed-1", "embed")
        await Bucket(broker, topology.CONFIG).overwrite(KEY_OF_PAUSE, b"of a newer release")
        unknown = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert [each.outcome for each in (held, done, unknown)] == [REFUSED, DONE, REFUSED]
        assert "ada has paused repairs" in held.detail
        assert platform.changes == ["restart embed-1"]

    async def test_another_process_than_the_evidence_is_of(
        self, operator, order: Orders, platform: MemoryPlatform, broker: Broker
    ) -> None:
        platform.set("embed-1", since=broker.clock.now())

        result = await order(
            Act.RESTART_SERVICE, "embed-1", "embed", evidence_at=broker.clock.now() - timedelta(seconds=5)
        )

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "the evidence is older" in result.detail

    @pytest.mark.parametrize("state", [InstanceState.STOPPED, InstanceState.STOPPING, InstanceState.RESTARTING])
    async def test_what_somebody_stopped_or_the_platform_is_at(
        self, operator, order: Orders, platform: MemoryPlatform, state: InstanceState
    ) -> None:
        platform.set("embed-1", state=state)

        result = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "left alone" in result.detail

    @pytest.mark.parametrize("by_hand", [{"pid": 4711}, {"state": InstanceState.STOPPED, "pid": None}])
    async def test_what_somebody_restarts_or_stops_at_the_same_moment(
        self, operator, order: Orders, platform: MemoryPlatform, by_hand: dict[str, object]
    ) -> None:
        platform.go_on.clear()
        given = await order.desk.issue(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))
        await asyncio.wait_for(platform.began.wait(), ANSWER_S)
        platform.set("embed-1", **by_hand)
        platform.go_on.set()
        result = await order.desk.result(given.id, timeout_s=ANSWER_S)

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "decide again" in result.detail

    @pytest.mark.parametrize("action", [ControlAction.PAUSE, ControlAction.DRAIN])
    async def test_what_somebody_paused(
        self,
        broker: Broker,
        nats_server,
        tmp_path: Path,
        platform: MemoryPlatform,
        table: Topology,
        order: Orders,
        action: ControlAction,
    ) -> None:
        settings = ProcessSettings(nats_url=nats_server.url, instance="embed-1", data_dir=tmp_path / "embed")
        embed = WorkerApp(settings, service="embed", table=table)

        @embed.consumes(topology.PURGE_WORKERS, PurgeRequest)
        async def on_purge(request: PurgeRequest, _: Delivery) -> None: ...

        async with running(embed):
            await ControlDesk(broker).order(
                ControlOrder(
                    order_id="order-1",
                    service="embed",
                    instance="embed-1",
                    action=action,
                    reason="I look at it",
                    expires_at=broker.clock.now() + timedelta(seconds=30),
                )
            )
            async with operating(nats_server.url, tmp_path, platform, table=table, listen_s=3.5):
                result = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "somebody paused it" in result.detail

    @pytest.mark.parametrize(
        ("name", "service"),
        [("nats", "nats"), ("operator-1", "operator"), ("embed-1", "retrieve"), ("all", "embed"), ("embd-1", "embed")],
    )
    async def test_targets_that_are_forbidden_or_not_there(
        self, operator, order: Orders, platform: MemoryPlatform, name: str, service: str
    ) -> None:
        result = await order(Act.RESTART_SERVICE, name, service)

        assert (result.outcome, platform.changes) == (REFUSED, [])

    async def test_a_second_instance_within_the_window(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        """13 run, so that two may be restarted, but of the 2 of embed only one."""
        first = await order(Act.RESTART_SERVICE, "embed-1", "embed")
        second = await order(Act.RESTART_SERVICE, "embed-2", "embed")
        again = await order(Act.RESTART_SERVICE, "embed-1", "embed")
        other = await order(Act.RESTART_SERVICE, "retrieve-1", "retrieve")
        third = await order(Act.RESTART_SERVICE, "retrieve-2", "retrieve")

        assert [each.outcome for each in (first, second, again, other, third)] == [DONE, REFUSED, DONE, DONE, REFUSED]
        assert platform.changes == ["restart embed-1", "restart embed-1", "restart retrieve-1"]

    async def test_more_than_a_fifth_at_once(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        result = await order(Act.SCALE_DOWN, "retrieve", "retrieve", replicas=7)

        assert (result.outcome, platform.changes) == (REFUSED, [])

    async def test_the_last_that_are_ready(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        """Nobody tells a heartbeat, so nobody is ready."""
        result = await order(Act.SCALE_DOWN, "retrieve", "retrieve", replicas=9)

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "is ready" in result.detail

    async def test_more_than_there_is_room_for(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        result = await order(Act.SCALE_UP, "embed", "embed", replicas=4)

        assert (result.outcome, platform.changes) == (REFUSED, [])
        assert "1 to 3" in result.detail

    async def test_a_configuration_that_was_changed_meanwhile(self, operator, order: Orders, broker: Broker) -> None:
        evidence_at = broker.clock.now()
        await ConfigBook(broker).change({"active_endpoints": "primary"}, principal="ada", because="I am at it")

        result = await order(Act.FAILOVER, "generator", "generate", standby=True, evidence_at=evidence_at)

        assert result.outcome is REFUSED
        assert "made by ada" in result.detail

    async def test_whatever_starts_or_stops_where_there_is_no_platform(
        self, broker: Broker, nats_server, tmp_path: Path, table: Topology, order: Orders
    ) -> None:
        async with operating(nats_server.url, tmp_path, None, table=table):
            refused = await order(Act.RESTART_SERVICE, "embed-1", "embed")
            done = await order(Act.FAILOVER, "generator", "generate", standby=True)

        assert (refused.outcome, done.outcome) == (REFUSED, DONE)
        assert "no platform" in refused.detail


async def test_without_a_key_it_does_not_start(
    broker: Broker, nats_server, tmp_path: Path, table: Topology, capsys
) -> None:
    settings = OperatorSettings(nats_url=nats_server.url, instance="operator-1", data_dir=tmp_path / "data")

    code = await build(settings, table=table).run(handle_signals=False)

    said = capsys.readouterr().out
    assert code == EXIT_CONFIGURATION
    assert "WAGGLE_RECOVERY_KEY_FILE is not set" in said
    assert "Traceback" not in said


class TestWhatIsNoCommand:
    @pytest.mark.parametrize("name", ["", "*", ">", "embed-*", "embed.1", "embed 1"])
    async def test_an_empty_target_or_a_pattern_becomes_a_dead_letter(
        self, operator, order: Orders, broker: Broker, platform: MemoryPlatform, name: str
    ) -> None:
        given = KEY.sign(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))
        body = given.to_bytes().replace(b'"name":"embed-1"', f'"name":"{name}"'.encode())
        await broker.publish_bytes(
            subjects.recovery_command(given.target), body, stream=topology.OPS.name, headers={"Nats-Msg-Id": "forged"}
        )

        await until(lambda: _letters(broker), what="a dead letter")
        assert platform.changes == []


class TestOnce:
    async def test_a_command_that_has_a_result_is_over(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        async with operating(nats_server.url, tmp_path, platform, table=table):
            given = KEY.sign(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))
            first = await order.raw(given)
            subject = subjects.recovery_command(given.target)
            await broker.publish(subject, given, stream=topology.OPS, message_id="again")
            later = await order(Act.SCALE_UP, "embed", "embed", replicas=3)

        assert (first.outcome, later.outcome) == (DONE, DONE)
        assert platform.changes == ["restart embed-1", "scale embed 3"]
        assert await results(broker) == 2

    async def test_two_operators_do_each_command_once(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
        async with (
            operating(nats_server.url, tmp_path / "one", platform, table=table, instance="operator-1"),
            operating(nats_server.url, tmp_path / "two", platform, table=table, instance="operator-2"),
        ):
            commands = [
                KEY.sign(order.make(Act.RESTART_SERVICE, "embed-1", "embed")),
                KEY.sign(order.make(Act.SCALE_UP, "embed", "embed", replicas=3)),
                KEY.sign(order.make(Act.RESTART_SERVICE, "retrieve-1", "retrieve")),
            ]
            for turn in ("", ".again", ".once-more"):
                for each in commands:
                    subject = subjects.recovery_command(each.target)
                    await broker.publish(subject, each, stream=topology.OPS, message_id=f"{each.id}{turn}")
            outcomes = [(await order.desk.result(each.id, timeout_s=ANSWER_S)).outcome for each in commands]
            await until(lambda: operators_are_idle(broker))

        assert outcomes == [DONE] * 3
        assert sorted(platform.changes) == ["restart embed-1", "restart retrieve-1", "scale embed 3"]
        assert await results(broker) == 3

    async def test_one_that_was_begun_when_the_operator_ended_is_not_done_again(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        platform.go_on.clear()
        async with operating(nats_server.url, tmp_path, platform, table=table):
            given = await order.desk.issue(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))
            await platform.began.wait()
        platform.go_on.set()
        async with operating(nats_server.url, tmp_path, platform, table=table):
            result = await order.desk.result(given.id, timeout_s=ANSWER_S)

        assert (result.outcome, platform.changes) == (UNKNOWN, [])
        assert await results(broker) == 1

    async def test_of_one_that_was_begun_it_is_never_said_that_it_came_too_late(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        platform.go_on.clear()
        async with operating(nats_server.url, tmp_path, platform, table=table):
            given = await order.desk.issue(order.make(Act.RESTART_SERVICE, "embed-1", "embed", expires_s=2))
            await platform.began.wait()
        await until(lambda: broker.clock.now() > given.expires_at)
        async with operating(nats_server.url, tmp_path, platform, table=table):
            result = await order.desk.result(given.id, timeout_s=ANSWER_S)

        assert result.outcome is UNKNOWN

    async def test_what_a_restart_that_was_broken_off_left_stopped_is_started(
        self, broker: Broker, nats_server, tmp_path: Path, platform: MemoryPlatform, table: Topology, order: Orders
    ) -> None:
        platform.go_on.clear()
        async with operating(nats_server.url, tmp_path, platform, table=table):
            given = await order.desk.issue(order.make(Act.RESTART_SERVICE, "embed-1", "embed"))
            await platform.began.wait()
        platform.set("embed-1", state=InstanceState.STOPPED, pid=None, since=broker.clock.now())
        platform.go_on.set()
        async with operating(nats_server.url, tmp_path, platform, table=table):
            result = await order.desk.result(given.id, timeout_s=ANSWER_S)

        assert (result.outcome, platform.changes) == (UNKNOWN, ["start embed-1"])
        assert "was found stopped, and was started" in result.detail

    async def test_what_goes_wrong_is_told(self, operator, order: Orders, platform: MemoryPlatform) -> None:
        platform.error = RuntimeError("the machine is on fire")

        result = await order(Act.RESTART_SERVICE, "embed-1", "embed")

        assert result.outcome is CommandOutcome.FAILED
        assert "on fire" in result.detail


async def _letters(broker: Broker) -> int:
    return await Storage(broker).count(topology.DLQ.name, "rag.dlq.OPS.*")


async def _provisioned(broker: Broker) -> None:
    from messaging.provisioning import provision

    await provision(broker)

"""The life of a worker process: connect, start, work, drain, exit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import nats.errors
import nats.js.errors
import structlog

from contracts.errors import PermanentError, WaggleError
from contracts.health import EXIT_CONFIGURATION, HEARTBEAT_INTERVAL_S, ProcessState
from contracts.metrics import METRICS_INTERVAL_S
from contracts.settings_source import ConfigurationError
from messaging.attempts import Attempts
from messaging.binding import Binding
from messaging.breaker import Breaker, Probing
from messaging.broker import Broker
from messaging.carrier import Carrier
from messaging.control import ControlOffice, WorkerDuties
from messaging.errors import BrokerUnavailableError
from messaging.heartbeats import HeartbeatPublisher
from messaging.parts import Hook, Parts
from messaging.pipeline import SETTLING_S, Pipeline, middlewares
from messaging.progress import LOOK_S, UNLIMITED_S, Progress, Waiting
from messaging.provisioning import ensure_consumer
from messaging.retries import handler_attempts
from messaging.samples import MetricsPublisher
from messaging.self_measurement import process_telemetry
from messaging.stack_dumps import answer_dump_signal, stack_file
from messaging.suspicion import Turns
from messaging.watchdog import INTERVAL_S, Watchdog
from observability.telemetry import Telemetry

BEAT_INTERVAL_S = HEARTBEAT_INTERVAL_S
SAMPLE_INTERVAL_S = METRICS_INTERVAL_S
WATCH_INTERVAL_S = INTERVAL_S
WAITING_INTERVAL_S = LOOK_S
RETRY_S = 1.0
NOT_PROVISIONED = "run `waggle provision`; a keeper that runs makes it, too"
BROKER_PROBING = Probing(first_pause_s=0.25, max_pause_s=1.0, timeout_s=2.0)
"""A look at the broker costs one small request, and all waits for it."""
HOOK_TIMEOUT_S = 10.0
HAND_BACK_S = 5.0
"""How long messages whose handling was broken off may take to go back to the broker."""

EXIT_FAILED = 1

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Running:
    """One run of a worker. Order of the end: no new messages; those in hand finish; hooks; background work; connection."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._state = ProcessState.STARTING
        self._exit_code = 0
        self._carrier = Carrier(parts.activity)
        self._owned: list[asyncio.Task[None]] = []
        self._stack_file = stack_file(parts.service, parts.settings)

    async def run(self, *, handle_signals: bool) -> int:
        """See `WorkerApp.run`."""
        telemetry = self._parts.telemetry = process_telemetry(self._parts.service, self._parts.settings)
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT) if handle_signals else ()
        if handle_signals:
            answer_dump_signal(self._stack_file)
        for number in signals:
            loop.add_signal_handler(number, self._parts.stopping.set)
        try:
            await self._connected(telemetry)
        finally:
            for number in signals:
                loop.remove_signal_handler(number)
            await asyncio.to_thread(telemetry.shutdown)
        log.info("stopped", service=self._parts.service, exit_code=self._exit_code)
        return self._exit_code

    async def _connected(self, telemetry: Telemetry) -> None:
        settings = self._parts.settings
        name = f"waggle-{self._parts.service}-{settings.instance}"
        broker = await self._unless_stopped(Broker.connect(settings, name=name))
        if broker is None:
            return
        self._parts.broker = broker
        broker.measure(telemetry)
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._live(broker, telemetry, tasks)
        finally:
            await broker.close()

    async def _live(self, broker: Broker, telemetry: Telemetry, tasks: asyncio.TaskGroup) -> None:
        heartbeats = HeartbeatPublisher(
            broker,
            service=self._parts.service,
            settings=self._parts.settings,
            activity=self._parts.activity,
            checks=self._parts.checks,
            state=self._told_state,
            facts=lambda: self._parts.facts,
            interval_s=BEAT_INTERVAL_S,
        )
        self._parts.beat = heartbeats.publish
        samples = MetricsPublisher(
            broker,
            telemetry,
            service=self._parts.service,
            instance=self._parts.settings.instance,
            interval_s=SAMPLE_INTERVAL_S,
        )
        self._own(tasks, "heartbeats", heartbeats.run())
        self._own(tasks, "metrics", samples.run())
        self._own(tasks, "control", self._office(broker).run())
        try:
            if await self._unless_stopped(self._start(broker, telemetry)):
                self._work(broker, telemetry, tasks)
                await self._unless_stopped(self._parts.checks.looked.wait())
                await heartbeats.publish()
                await self._parts.stopping.wait()
        finally:
            self._state = ProcessState.DRAINING
            await heartbeats.publish()
            await self._drain()
            await samples.publish_last()
            for task in self._owned:
                task.cancel()

    def _told_state(self) -> ProcessState:
        paused = self._carrier.paused and self._state is ProcessState.READY
        return ProcessState.PAUSED if paused else self._state

    def _office(self, broker: Broker) -> ControlOffice:
        parts = self._parts
        duties = WorkerDuties(
            self._carrier,
            parts.activity,
            broker.clock,
            self._stack_file,
            state=self._told_state,
            consumers=lambda: [binding.consumer.durable for binding in parts.bindings],
            caches=parts.caches,
            rereads=parts.rereads,
        )
        return ControlOffice(
            broker,
            duties.all(),
            service=parts.service,
            instance=parts.settings.instance,
            state=self._told_state,
            in_flight=lambda: parts.activity.in_flight,
        )

    async def _start(self, broker: Broker, telemetry: Telemetry) -> bool:
        """False when a hook failed or the consumers cannot be had."""
        try:
            for hook in self._parts.startup:
                await hook()
            await self._bind(broker, telemetry)
        except (WaggleError, ConfigurationError) as error:
            log.error("could not start", service=self._parts.service, reason=str(error))  # noqa: TRY400 (it says all)
            self._fail(EXIT_CONFIGURATION if isinstance(error, PermanentError | ConfigurationError) else EXIT_FAILED)
        except Exception:
            log.exception("could not start", service=self._parts.service)
            self._fail()
        else:
            return True
        return False

    async def _bind(self, broker: Broker, telemetry: Telemetry) -> None:
        bindings = [await self._provisioned(broker, binding) for binding in self._parts.bindings]
        broker_breaker = Breaker("broker", broker.look, probing=BROKER_PROBING)
        self._parts.breakers.add(broker_breaker)
        self._parts.breakers.measure(telemetry.meter)
        for binding in bindings:
            turns = Turns(Attempts(broker), allowed=handler_attempts(binding.consumer))
            steps = middlewares(
                binding.handling, broker, self._parts.activity, telemetry, broker_breaker=broker_breaker, turns=turns
            )
            binding.carry(self._carrier, Pipeline(binding.consumer, steps, turns))
        self._parts.bindings[:] = bindings
        await self._carrier.start_on(broker.nc)

    async def _provisioned(self, broker: Broker, binding: Binding) -> Binding:
        while True:
            try:
                if self._parts.restores:
                    await ensure_consumer(broker, binding.consumer, self._parts.table)
                return await binding.as_provisioned(broker)
            except nats.js.errors.NotFoundError:
                log.warning("waiting for its consumer", consumer=binding.consumer.durable, advice=NOT_PROVISIONED)
            except (BrokerUnavailableError, nats.errors.Error) as error:
                log.warning("waiting for the broker", consumer=binding.consumer.durable, reason=str(error))
            await asyncio.sleep(RETRY_S)

    def _work(self, broker: Broker, telemetry: Telemetry, tasks: asyncio.TaskGroup) -> None:
        consumers = [binding.consumer for binding in self._parts.bindings]
        watched = self._parts.table.consumers if self._parts.restores else ()
        watchdog = Watchdog(broker, watched, self._parts.table, meter=telemetry.meter, interval_s=WATCH_INTERVAL_S)
        self._own(tasks, "watchdog", watchdog.run())
        if consumers:
            progress = self._progress()
            self._parts.checks.add_present(progress.check)
            waiting = Waiting(broker, consumers, progress, interval_s=WAITING_INTERVAL_S)
            self._own(tasks, "progress", waiting.run())
        self._own(tasks, "breakers", self._parts.breakers.run())
        self._own(tasks, "checks", self._parts.checks.run())  # what they look at was made by the start-up hooks
        for name, work in self._parts.background:
            self._own(tasks, name, work())
        self._state = ProcessState.READY
        self._parts.ready.set()
        log.info("ready", service=self._parts.service, consumers=[consumer.durable for consumer in consumers])

    def _progress(self) -> Progress:
        """Without a setting nothing is stuck for as long as beats for a message may go on."""
        limits = [binding.handling.time_limit_s for binding in self._parts.bindings]
        longest_s = max(UNLIMITED_S if limit_s is None else limit_s + SETTLING_S for limit_s in limits)
        return Progress(
            self._parts.activity,
            limit_s=self._parts.settings.stuck_after_s or longest_s,
            paused=lambda: self._carrier.paused,
        )

    async def _drain(self) -> None:
        self._parts.breakers.release()
        in_hand = self._parts.activity.in_flight
        log.info("draining", service=self._parts.service, in_flight=in_hand)
        await self._carrier.withdraw()
        if not await self._parts.activity.wait_idle(timeout_s=self._parts.settings.drain_timeout_s):
            log.warning("work in hand goes back to the broker", in_flight=self._parts.activity.in_flight)
        await self._carrier.stop()
        await self._parts.activity.wait_idle(timeout_s=HAND_BACK_S)
        for hook in self._parts.shutdown:
            await self._shut(hook)

    async def _shut(self, hook: Hook) -> None:
        try:
            async with asyncio.timeout(HOOK_TIMEOUT_S):
                await hook()
        except Exception:
            log.exception("a shut-down hook failed", service=self._parts.service)
            self._fail()

    def _own(self, tasks: asyncio.TaskGroup, name: str, work: Awaitable[None]) -> None:
        self._owned.append(tasks.create_task(self._watched(name, work), name=name))

    async def _watched(self, name: str, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception:
            log.exception("background work failed, stopping", work=name)
            self._fail()

    def _fail(self, exit_code: int = EXIT_FAILED) -> None:
        self._exit_code = self._exit_code or exit_code
        self._parts.stopping.set()

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None when the process is told to stop before."""
        doing = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._parts.stopping.wait())
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})
            return None
        return doing.result()

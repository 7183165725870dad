"""The picture of the fleet that is decided about, put together of what is heard, asked and kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from contracts.backends import GENERATOR, INDEX
from contracts.diagnoses import DiagnosesView
from contracts.endpoint_reports import EndpointState, ServedModelKind
from contracts.errors import WaggleError
from contracts.recovery import OPERATOR
from contracts.runtime_config import ConfigRevision, EndpointClass, RuntimeConfig
from messaging.broker import Broker
from messaging.configuration import ConfigBook
from messaging.endpoints import EndpointDesk
from messaging.recovery.pausing import PauseFollower
from observability.notifications import Silences
from observability.recovery import BackendFacts, ConfigFacts, Episode, Situation
from observability.recovery.observed import index_of, instances_of, services_of
from workers.observer.intake import Intake
from workers.observer.recovery.platform import PlatformEye
from workers.observer.recovery.sight import Sight


class FleetPicture:
    """Asks for little: endpoints are asked for only where something is wrong, or a standby stands in."""

    def __init__(
        self,
        broker: Broker,
        intake: Intake,
        silences: Silences,
        pause: PauseFollower,
        eye: PlatformEye,
        desk: EndpointDesk,
        sight: Sight,
    ) -> None:
        self._broker = broker
        self._intake = intake
        self._silences = silences
        self._pause = pause
        self._eye = eye
        self._desk = desk
        self._sight = sight
        self._book = ConfigBook(broker)

    async def now(self, view: DiagnosesView, episodes: Mapping[str, Episode]) -> Situation:
        """The fleet as it is. Raises `PauseUnknownError`, and what reading the configuration raises: then nothing is to be
        acted upon.
        """
        pause = self._pause.current
        revision = await self._book.current()
        heard, places, connected = self._intake.heard(), await self._eye.look(), self._broker.is_connected
        return Situation(
            connected=connected,
            hears=heard.hears,
            instances=instances_of(
                heard.processes,
                waiting=heard.waiting,
                platform=places.instances,
                platform_silent=places.silent,
            ),
            services=services_of(heard.processes, running=places.running, possible=places.possible),
            backends={
                GENERATOR: await self._generator(revision, asked=bool(view.items)),
                INDEX: index_of(heard.processes, revision.values if revision else RuntimeConfig()),
            },
            config=_config(revision),
            silences=self._silences.in_force(self._broker.clock.now()),
            pause=pause,
            episodes=episodes,
            seen_since=self._sight.look(view, hears=heard.hears and connected),
        )

    async def _generator(self, revision: ConfigRevision | None, *, asked: bool) -> BackendFacts:
        """Its endpoints are surveyed when that is asked for, or while a standby stands in."""
        active = revision is not None and revision.values.active_endpoints is EndpointClass.STANDBY
        healthy = await self._healthy_endpoints() if asked or active else set[EndpointClass]()
        return BackendFacts(
            service="generate",
            standby_available=EndpointClass.STANDBY in healthy,
            standby_active=active,
            first_choice_available=EndpointClass.PRIMARY in healthy,
        )

    async def _healthy_endpoints(self) -> set[EndpointClass]:
        with suppress(WaggleError):  # nobody tells: then there is none to rely on
            survey = await self._desk.survey()
            return {
                EndpointClass.STANDBY if stats.standby else EndpointClass.PRIMARY
                for report in survey.reports
                if report.kind is ServedModelKind.GENERATOR
                for stats in report.endpoints
                if stats.state is EndpointState.HEALTHY
            }
        return set()


def _config(revision: ConfigRevision | None) -> ConfigFacts:
    if revision is None:
        return ConfigFacts()
    by_us = revision.principal == OPERATOR
    previous = None if revision.restores is not None or by_us else revision.number - 1
    return ConfigFacts(current=revision.number, previous=previous, changed_at=revision.created_at)

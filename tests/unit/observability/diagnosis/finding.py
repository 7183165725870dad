"""What tests ask of a recording."""

from __future__ import annotations

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis
from observability.diagnosis import Detector, Diagnostician, Finding, Signals
from tests.unit.observability.diagnosis.recordings import Recording


def found(detector: Detector, recording: Recording, *, after_s: float = 0.0, rolled_up: bool = False) -> list[Finding]:
    """What a detector finds at the end of a recording, or so much later."""
    signals = Signals(recording.source(), at_ms=recording.end_ms + round(after_s * 1000), rolled_up=rolled_up)
    return detector.find(signals)


def diagnosed(recording: Recording) -> DiagnosesView:
    """All that is found at the end of a recording."""
    return Diagnostician(recording.source(), now_ms=lambda: recording.end_ms).now()


def causes(view: DiagnosesView) -> list[tuple[Cause, str]]:
    """Causes and components, as they are ranked."""
    return [(item.cause, item.subject.component) for item in view.items]


def of(view: DiagnosesView, cause: Cause) -> Diagnosis:
    (item,) = [item for item in view.items if item.cause is cause]
    return item

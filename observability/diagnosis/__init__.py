"""What is wrong with the fleet, told from its series: causes with their evidence, how sure each is, and what is behind it."""

from observability.diagnosis.base import Detector, Finding
from observability.diagnosis.combining import Graph
from observability.diagnosis.diagnostician import DETECTORS, Diagnostician
from observability.diagnosis.history import DiagnosisHistory
from observability.diagnosis.questions import DiagnosisQuestion
from observability.diagnosis.records import EpisodeRecord
from observability.diagnosis.signals import Signals

__all__ = [
    "DETECTORS",
    "Detector",
    "DiagnosisHistory",
    "DiagnosisQuestion",
    "Diagnostician",
    "EpisodeRecord",
    "Finding",
    "Graph",
    "Signals",
]

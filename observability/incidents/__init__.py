"""Alerts, diagnoses, and what the system decided and did, put together into incidents.

Material      what is known, in any order and with repeats
incidents     all of it as incidents, newest first
incident      one of them with its timeline
"""

from observability.incidents.incidents import incident, incidents
from observability.incidents.material import Material

__all__ = ["Material", "incident", "incidents"]

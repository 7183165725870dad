"""How the fleet heals: what is done against which cause, what keeps that from doing harm, and whether it helped.

Everything here is pure: what is seen and what was done comes in, decisions come out.
"""

from observability.recovery.deciding import Decider
from observability.recovery.errors import PolicyError, SituationChangedError
from observability.recovery.past import Action, Past
from observability.recovery.policy import Budget, Cooldown, Limits, Policy, PostCheck, PreCheck, Rung
from observability.recovery.policy_file import load_policy, parse_policy
from observability.recovery.situation import (
    BackendFacts,
    ConfigFacts,
    Episode,
    InstanceFacts,
    ServiceFacts,
    Situation,
)
from observability.recovery.verifying import Verifier

__all__ = [
    "Action",
    "BackendFacts",
    "Budget",
    "ConfigFacts",
    "Cooldown",
    "Decider",
    "Episode",
    "InstanceFacts",
    "Limits",
    "Past",
    "Policy",
    "PolicyError",
    "PostCheck",
    "PreCheck",
    "Rung",
    "ServiceFacts",
    "Situation",
    "SituationChangedError",
    "Verifier",
    "load_policy",
    "parse_policy",
]

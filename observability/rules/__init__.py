"""Rules as data: Prometheus rule files, their alerts' life, and unit tests of them."""

from observability.rules.alerts import Alert, AlertState, RuleAlerts, Transition
from observability.rules.errors import Fault, LimitExceededError, RuleEvaluationError, RuleFileError
from observability.rules.evaluation import External, GroupEvaluation, GroupEvaluator, RuleFailure
from observability.rules.files import load, parse
from observability.rules.models import AlertingRule, RecordingRule, Rule, RuleGroup
from observability.rules.state import GroupState, RuleState

__all__ = [
    "Alert",
    "AlertState",
    "AlertingRule",
    "External",
    "Fault",
    "GroupEvaluation",
    "GroupEvaluator",
    "GroupState",
    "LimitExceededError",
    "RecordingRule",
    "Rule",
    "RuleAlerts",
    "RuleEvaluationError",
    "RuleFailure",
    "RuleFileError",
    "RuleGroup",
    "RuleState",
    "Transition",
    "load",
    "parse",
]

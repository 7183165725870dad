"""Rules at work: which are in force, their evaluation, the alerts that come of it, and what is kept of them."""

from observability.alerting.alerts import ended, event_of, events_of
from observability.alerting.board import AlertBoard, BoardAlert, GroupReport, RuleReport
from observability.alerting.evaluations import INTERVAL_MS, Evaluations, Outcome
from observability.alerting.keeping import KeptStates
from observability.alerting.metrics import RuleMetrics
from observability.alerting.records import GroupKey, RuleGroupRecord, record_key
from observability.alerting.rule_book import RuleBook
from observability.alerting.rule_files import RuleFiles
from observability.alerting.threads import EvaluationThreads

__all__ = [
    "INTERVAL_MS",
    "AlertBoard",
    "BoardAlert",
    "EvaluationThreads",
    "Evaluations",
    "GroupKey",
    "GroupReport",
    "KeptStates",
    "Outcome",
    "RuleBook",
    "RuleFiles",
    "RuleGroupRecord",
    "RuleMetrics",
    "RuleReport",
    "ended",
    "event_of",
    "events_of",
    "record_key",
]

"""Orders to repair the fleet, signed by who decides and judged by who acts; their audit, the pause, and people's answers.

RecoveryKey       signs commands, and tells whether one was signed: observer and operator
CommandDesk       gives commands and waits for what became of them: the observer
RecoveryResults   says what became of a command, once: the operator

`audit`, `pausing`, `approvals` and `incidents` are imported by themselves: processes that only give or take orders need none.
"""

from messaging.recovery.desk import CommandDesk
from messaging.recovery.errors import NoResultError, TargetBusyError
from messaging.recovery.results import RecoveryResults
from messaging.recovery.signing import RecoveryKey, make_key

__all__ = ["CommandDesk", "NoResultError", "RecoveryKey", "RecoveryResults", "TargetBusyError", "make_key"]

"""What the operator can do, a class for each action."""

from workers.operator.actions.base import Action, Done
from workers.operator.actions.caches import ClearCache
from workers.operator.actions.configuration import Failover, Rollback
from workers.operator.actions.restart import RestartService
from workers.operator.actions.scaling import ScaleDown, ScaleUp

__all__ = ["Action", "ClearCache", "Done", "Failover", "RestartService", "Rollback", "ScaleDown", "ScaleUp"]

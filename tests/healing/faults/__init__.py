"""All faults, the most important first. A new one is a class in the module of its theme, and a name here."""

from __future__ import annotations

from tests.healing.fault import Fault
from tests.healing.faults.backends import EndpointDown, IndexDown, IndexLeft, SlowSearch
from tests.healing.faults.blindness import HeartbeatsDropped, ObserversParted, TwoObservers
from tests.healing.faults.caches import CachePoisoned
from tests.healing.faults.load import Backlog, SlowBurst
from tests.healing.faults.messages import Failing, Poison
from tests.healing.faults.partitions import Flapping, WorkerParted
from tests.healing.faults.processes import Frozen, Killed, Leak, NeverReturns
from tests.healing.faults.settings import BadRevision

FAULTS: tuple[type[Fault], ...] = (
    NeverReturns,
    Killed,
    Frozen,
    BadRevision,
    EndpointDown,
    Backlog,
    SlowBurst,
    ObserversParted,
    HeartbeatsDropped,
    WorkerParted,
    TwoObservers,
    Flapping,
    SlowSearch,
    IndexDown,
    IndexLeft,
    CachePoisoned,
    Leak,
    Failing,
    Poison,
)
"""Who strikes only few processes comes before who may strike any."""

"""All rows, in the order in which they are run and printed. A new row is a class in the module of its theme, and a name here."""

from __future__ import annotations

from tests.faults.row import Row
from tests.faults.rows.alarms import CollectorHangs, FrozenTold, FullTold, PartedTold, WrongClocks
from tests.faults.rows.backups import BackupKills
from tests.faults.rows.broker import BrokerBeforeAck, BrokerBeforeRequest, BrokerKills, LostConsumers
from tests.faults.rows.cluster import LeaderKills
from tests.faults.rows.controls import (
    AckFirst,
    BlindPublish,
    NoAdvisories,
    NoKeeper,
    NoPurge,
    NoReconciler,
    NoVisibilityCheck,
    NoWatchdog,
    RandomIds,
)
from tests.faults.rows.deaths import AdvisoriesLost, Exhausted, OnlyAKeeper
from tests.faults.rows.fullness import DiskFull, StorageFull, UploadsFull
from tests.faults.rows.hostile import HostileMessages, HostileRequests
from tests.faults.rows.kills import Kills
from tests.faults.rows.outages import EncoderAway, GeneratorAway, IndexAway, NoHold, UploadsAway
from tests.faults.rows.overload import SlowIndex
from tests.faults.rows.partitions import Refused, Silent
from tests.faults.rows.poison import KillingBatch, KillingPoison, Malformed, RaisingPoison
from tests.faults.rows.power import Forgetful, PowerCut
from tests.faults.rows.races import Deletion, Overtaking
from tests.faults.rows.repeats import Twice
from tests.faults.rows.signals import Sigterm, StaleWriter, Zombies
from tests.faults.rows.soak import Soak

ROWS: tuple[type[Row], ...] = (
    Kills,
    Sigterm,
    Zombies,
    StaleWriter,
    BrokerKills,
    PowerCut,
    Silent,
    Refused,
    StorageFull,
    DiskFull,
    UploadsFull,
    Twice,
    BrokerBeforeAck,
    RaisingPoison,
    KillingPoison,
    KillingBatch,
    Malformed,
    BrokerBeforeRequest,
    LostConsumers,
    LeaderKills,
    Overtaking,
    Deletion,
    OnlyAKeeper,
    Exhausted,
    AdvisoriesLost,
    SlowIndex,
    IndexAway,
    EncoderAway,
    GeneratorAway,
    UploadsAway,
    HostileRequests,
    HostileMessages,
    Soak,
    BackupKills,
    FrozenTold,
    PartedTold,
    FullTold,
    WrongClocks,
    CollectorHangs,
)
CONTROLS: tuple[type[Row], ...] = (
    AckFirst,
    RandomIds,
    NoVisibilityCheck,
    NoWatchdog,
    NoPurge,
    NoReconciler,
    NoKeeper,
    NoAdvisories,
    BlindPublish,
    NoHold,
    Forgetful,
)

__all__ = ["CONTROLS", "ROWS"]

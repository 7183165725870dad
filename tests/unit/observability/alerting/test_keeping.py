"""The state of rules under fencing tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contracts.alerts import AlertEvent
from contracts.errors import InvalidMessageError, TransientError
from observability.alerting import KeptStates, RuleGroupRecord, events_of, record_key
from observability.notifications.errors import FencedError
from observability.records import StaleRecordError, StoredRecord
from observability.rules import GroupState
from tests.unit.observability.alerting.groups import KEY, House


class Store:
    """A `RecordStore` in memory."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[int, bytes]] = {}
        self.writes = 0
        self.away = False

    async def load(self) -> list[StoredRecord[RuleGroupRecord]]:
        return [self._stored(key) for key in self.content]

    async def read(self, key: str) -> StoredRecord[RuleGroupRecord] | None:
        return self._stored(key) if key in self.content else None

    async def write(self, record: RuleGroupRecord, *, revision: int) -> int:
        if self.away:
            raise TransientError("away")
        key = record_key(record.key)
        if self.content.get(key, (0, b""))[0] != revision:
            raise StaleRecordError("another revision")
        self.writes += 1
        self.content[key] = (self.writes, record.to_bytes())
        return self.writes

    async def remove(self, key: str, *, revision: int) -> None:
        if self.content.get(key, (0, b""))[0] <= revision:
            self.content.pop(key, None)

    def _stored(self, key: str) -> StoredRecord[RuleGroupRecord]:
        revision, content = self.content[key]
        try:
            return StoredRecord(key=key, revision=revision, record=RuleGroupRecord.from_bytes(content))
        except InvalidMessageError:
            return StoredRecord(key=key, revision=revision, record=None)


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
def store() -> Store:
    return Store()


def fires(house: House) -> tuple[GroupState, list[AlertEvent]]:
    outcome = house.evaluated(a=7)
    assert outcome.state is not None
    return outcome.state, events_of(outcome.transitions)


async def test_the_next_observer_has_the_state_and_what_was_not_told(house: House, store: Store) -> None:
    first = KeptStates(store, token=1)
    state, events = fires(house)
    first.put(KEY, state, events)
    await first.write(KEY)

    second = KeptStates(store, token=2)
    assert await second.claim({KEY}) == {KEY: state}
    assert [event.id for event in second.untold(KEY)] == [event.id for event in events]
    second.told(KEY, events[0])
    await second.write(KEY)
    third = KeptStates(store, token=3)
    await third.claim({KEY})
    assert third.untold(KEY) == ()


@pytest.mark.parametrize("known", [True, False], ids=["a group that was stored", "a group that was not"])
async def test_who_led_before_can_write_nothing_any_more(house: House, store: Store, known: bool) -> None:
    old, new = KeptStates(store, token=1), KeptStates(store, token=2)
    state, events = fires(house)
    if known:
        old.put(KEY, state, [])
        await old.write(KEY)
    await new.claim({KEY})
    before = dict(store.content)

    old.put(KEY, state, events)
    with pytest.raises(FencedError):
        await old.write(KEY)
    with pytest.raises(FencedError):
        await KeptStates(store, token=1).claim({KEY})
    assert store.content == before


async def test_without_a_claim_the_old_leader_could(house: House, store: Store) -> None:
    """What the claim is for."""
    old = KeptStates(store, token=1)
    old.put(KEY, *fires(house))
    await old.write(KEY)
    await KeptStates(store, token=2)._store.load()

    old.put(KEY, *fires(house))
    await old.write(KEY)


async def test_what_the_old_leader_wrote_at_the_last_moment_is_told(house: House, store: Store) -> None:
    old, new = KeptStates(store, token=1), KeptStates(store, token=2)
    await new.claim(set())  # the group is none of those that it knows
    old.put(KEY, *fires(house))
    await old.write(KEY)
    new.put(KEY, house.evaluator.state(), [])
    await new.write(KEY)

    assert [event.name for event in new.untold(KEY)] == ["Hot"]


async def test_only_what_has_changed_is_written(house: House, store: Store) -> None:
    kept = KeptStates(store, token=1)
    state, _ = fires(house)
    firing = state.model_copy(update={"rules": state.rules[:1]})  # without the one that waits
    for value in (firing, firing.model_copy(update={"evaluated_at_ms": 1})):
        kept.put(KEY, value, [])
        await kept.write(KEY)
    assert store.writes == 1

    for _ in range(2):
        kept.put(KEY, state, [])
        await kept.write(KEY)
    assert store.writes == 3, "of one that waits the time counts"


async def test_what_could_not_be_written_is_written_the_next_time(house: House, store: Store) -> None:
    kept = KeptStates(store, token=1)
    kept.put(KEY, *fires(house))
    store.away = True
    with pytest.raises(TransientError):
        await kept.write(KEY)
    store.away = False
    await kept.write(KEY)

    assert store.writes == 1


async def test_the_end_of_an_alert_without_a_rule_is_remembered_for_a_while(house: House, store: Store) -> None:
    kept = KeptStates(store, token=1)
    kept.put(KEY, *fires(house))
    ends = events_of(house.evaluator.end())
    kept.put(KEY, None, ends)
    for event in kept.untold(KEY):
        kept.told(KEY, event)
    await kept.write(KEY)

    successor = KeptStates(store, token=2)
    await successor.claim(set())
    assert [(event.name, event.state) for event in successor.departed()] == [("Hot", "resolved")]
    assert not successor.is_over(KEY)
    successor.forget_departed(house.now + timedelta(minutes=16))
    assert successor.is_over(KEY)
    await successor.write(KEY)
    await KeptStates(store, token=3).claim(set())
    assert store.content == {}


async def test_what_cannot_be_read_begins_anew(house: House, store: Store) -> None:
    store.content[record_key(KEY)] = (7, b"{}")
    store.writes = 7
    kept = KeptStates(store, token=1)

    assert await kept.claim({KEY}) == {}
    kept.put(KEY, *fires(house))
    await kept.write(KEY)


def test_a_large_record_is_compressed_and_read_back(house: House) -> None:
    house.evaluated(**{f"job{n}": 7.0 for n in range(1000)})
    record = RuleGroupRecord(token=1, file="f", group="g", state=house.evaluator.state())
    content = record.to_bytes()

    assert len(content) < 200_000
    assert RuleGroupRecord.from_bytes(content) == record
    with pytest.raises(InvalidMessageError):
        RuleGroupRecord.from_bytes(content[:1000])

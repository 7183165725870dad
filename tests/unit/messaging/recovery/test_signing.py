"""Who has the key can order; who has not cannot, whatever they change."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.diagnoses import RecommendedAction
from contracts.recovery import RecoveryCommand, Target, TargetKind
from contracts.settings_source import ConfigurationError
from messaging.recovery import RecoveryKey, make_key
from messaging.recovery.signing import canonical
from tests.support.recovery import KEY, SECRET, command, key_file

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


@pytest.fixture
def signed() -> RecoveryCommand:
    return KEY.sign(command(RecommendedAction.SCALE_UP, "embed", "embed", now=NOW, replicas=2))


def test_what_is_signed_is_known_again_after_it_has_travelled(signed: RecoveryCommand) -> None:
    assert KEY.signed(RecoveryCommand.from_bytes(signed.to_bytes()))


def test_what_is_not_signed_is_not(signed: RecoveryCommand) -> None:
    assert not KEY.signed(signed.model_copy(update={"signature": None}))


def test_another_key_makes_another_signature(signed: RecoveryCommand) -> None:
    assert not RecoveryKey(b"x" * 32).signed(signed)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"decision": "other"},
        {"incident": "other"},
        {"action": RecommendedAction.SCALE_DOWN},
        {"target": Target(kind=TargetKind.SERVICE, name="ingest", service="ingest")},
        {"replicas": 3},
        {"reason": "another"},
        {"token": 8},
        {"expires_at": NOW + timedelta(days=1)},
        {"evidence_at": NOW + timedelta(days=1)},
        {"created_at": NOW + timedelta(days=1)},
        {"principal": "mallory"},
        {"schema_version": 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_is_signed(signed: RecoveryCommand, change: dict[str, object]) -> None:
    assert not KEY.signed(signed.model_copy(update=change))


def test_what_is_signed_does_not_depend_on_the_order_of_fields(signed: RecoveryCommand) -> None:
    backwards = dict(reversed(list(signed.model_dump().items())))

    assert canonical(RecoveryCommand.model_validate(backwards)) == canonical(signed)


def test_a_key_is_read_from_its_file(tmp_path: Path, signed: RecoveryCommand) -> None:
    assert RecoveryKey.read(key_file(tmp_path)).signed(signed)


def test_without_a_key_it_is_said_how_to_make_one() -> None:
    with pytest.raises(ConfigurationError, match="urandom"):
        RecoveryKey.read(None)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        RecoveryKey.read(tmp_path / "recovery.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610])
def test_a_key_that_others_may_have_seen_will_not_do(tmp_path: Path, mode: int) -> None:
    file = key_file(tmp_path)
    file.chmod(mode)

    with pytest.raises(ConfigurationError, match="others may have read"):
        RecoveryKey.read(file)


def test_a_stricter_mode_will_do(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    file.chmod(0o400)

    RecoveryKey.read(file)


def test_a_key_that_is_too_short_will_not_do(tmp_path: Path) -> None:
    file = key_file(tmp_path)
    file.write_bytes(SECRET[:31])

    with pytest.raises(ConfigurationError, match="31 bytes"):
        RecoveryKey.read(file)


def test_a_key_is_made_for_its_owner_alone_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "data" / "recovery.key"

    make_key(file)
    first = file.read_bytes()
    make_key(file)

    assert file.read_bytes() == first
    assert len(first) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == ["recovery.key"]


def test_a_key_is_never_shown() -> None:
    assert SECRET.decode() not in repr(KEY)

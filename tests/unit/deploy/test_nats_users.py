"""The users of the broker, by their tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.access import BrokerAccess
from deploy.local.layout import Layout
from deploy.local.programs import Fleet
from deploy.nats.reference import page
from deploy.nats.user import User
from deploy.nats.users import PLATFORM, SERVICES, applications

EVERYBODY = (*PLATFORM, *applications(["acme"]))


def test_the_page_shows_the_tables() -> None:
    text = Path("docs/nats-users.md").read_text(encoding="utf-8")
    assert page(text) == text, "make docs"


@pytest.mark.parametrize("user", EVERYBODY, ids=lambda user: user.name)
class TestUser:
    def test_every_grant_says_why(self, user: User) -> None:
        assert all(grant.why.endswith((".", ").")) for grant in (*user.grants, *user.denied))
        assert all(grant.publish or grant.subscribe for grant in user.grants)

    def test_nothing_is_granted_by_a_bare_wildcard(self, user: User) -> None:
        assert not {">", "*", "*.>", "$JS.>", "$SYS.>"} & {*user.publish, *user.subscribe}

    def test_it_hears_no_inbox_but_its_own(self, user: User) -> None:
        assert [each for each in user.subscribe if each.startswith("_INBOX")] == [f"{user.inbox}.>"]


def test_no_two_share_a_name() -> None:
    names = [user.name for user in (*EVERYBODY, *applications(["globex"]))]
    assert len(set(names)) == len(names)


def test_each_process_of_a_stack_is_given_its_own_seed(tmp_path: Path) -> None:
    access = BrokerAccess(Layout(tmp_path))
    groups = Fleet(drain_timeout_s=1, access=access.environments()).waggle_groups()
    given = {p.service: p.environment["WAGGLE_NATS_NKEY_SEED"] for group in groups for p in group.programs}
    assert given == {user.name: str(tmp_path / "nats-users" / f"{user.name}.nk") for user in SERVICES}


def test_streams_of_an_earlier_release_are_taken_over_once(tmp_path: Path) -> None:
    stored = tmp_path / "nats" / "store" / "jetstream"
    (stored / "$G" / "streams").mkdir(parents=True)
    access = BrokerAccess(Layout(tmp_path))
    known = access.prepare()
    assert (stored / "WAGGLE" / "streams").is_dir()
    (stored / "$G").mkdir()  # by an earlier release, started meanwhile
    assert access.prepare() == known
    assert (stored / "WAGGLE" / "streams").is_dir()
    assert (stored / "$G").is_dir()


def test_settings_for_another_broker_are_not_shown_to_the_own_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_USER", "somebody")
    settings = BrokerAccess(Layout(tmp_path)).settings("nats://127.0.0.1:1")
    assert settings.nats_user is None
    assert (settings.nats_nkey_seed, settings.nats_inbox_prefix) == (
        tmp_path / "nats-users" / "admin.nk",
        "_INBOX_admin",
    )

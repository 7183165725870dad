"""Which worker an order is for."""

from __future__ import annotations

import pytest

from cli.control import Answers, chosen, finish
from cli.exits import CommandError, Exit
from contracts.control import ControlAction, ControlOutcome, ControlReply
from contracts.health import ProcessState
from messaging.control import NotHeardError

HEARD = [("embed", "embed-1"), ("embed", "embed-2"), ("generate", "shared"), ("retrieve", "shared")]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("embed-1", ("embed", "embed-1")),
        ("embed/embed-2", ("embed", "embed-2")),
        ("retrieve/shared", ("retrieve", "shared")),
    ],
)
def test_one_is_meant_by_its_name(named: str, found: tuple[str, str]) -> None:
    assert chosen(named, HEARD) == [found]


def test_all_of_a_service_are_meant_by_its_name() -> None:
    assert chosen("embed", HEARD) == [("embed", "embed-1"), ("embed", "embed-2")]
    assert chosen("retrieve", HEARD) == [("retrieve", "shared")]


def test_an_instance_comes_before_a_service_of_its_name() -> None:
    assert chosen("gateway", [("gateway", "gateway"), ("gateway", "gateway-2")]) == [("gateway", "gateway")]


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("shared", "shared may be any of generate/shared, retrieve/shared", "Name it with its service."),
        ("embd-1", "nobody who is heard is called embd-1", "There are: embed-1, embed-2, embed."),
        ("embd", "nobody who is heard is called embd", "There are: embed, embed-2, embed-1."),
        ("zzz", "nobody who is heard is called zzz", "There are: embed-1, embed-2, shared."),
        ("", "nobody who is heard is called ", "There are: embed-1, embed-2, shared."),
        ("*", "nobody who is heard is called *", "There are: embed-1, embed-2, shared."),
        ("ingest/embed-1", "nobody who is heard is called ingest/embed-1", "There are: embed-1, embed-2, embed."),
    ],
)
def test_any_other_name_is_refused_with_those_that_are_near(named: str, message: str, hint: str) -> None:
    with pytest.raises(CommandError) as raised:
        chosen(named, HEARD)
    assert (raised.value.message, raised.value.code) == (message, Exit.USAGE)
    assert raised.value.hint.startswith(hint)


def test_of_a_service_that_hangs_it_is_said_how_to_look_and_to_start_it_anew() -> None:
    with pytest.raises(CommandError) as raised:
        chosen("embed", [("keeper", "keeper-1")])
    for advice in ("A service may be named, too", "`waggle status`", "`kill -USR1 PID`", "`waggle restart embed`"):
        assert advice in raised.value.hint


def test_where_nobody_is_heard_that_is_said() -> None:
    with pytest.raises(CommandError, match="nobody is called embed-1") as raised:
        chosen("embed-1", [])
    assert "waggle up" in raised.value.hint


def reply(instance: str, outcome: ControlOutcome = ControlOutcome.DONE) -> ControlReply:
    return ControlReply(
        order_id="o1",
        service="embed",
        instance=instance,
        action=ControlAction.DRAIN,
        outcome=outcome,
        detail="as told",
        state=ProcessState.PAUSED,
        in_flight=0,
    )


def test_of_several_each_is_told_and_those_that_failed_end_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers(
        replies=[reply("embed-1"), reply("embed-2", ControlOutcome.UNFINISHED)],
        silent=[NotHeardError("embed-3 did not answer")],
        advice="Look at it.",
        is_service=True,
    )
    with pytest.raises(CommandError) as raised:
        finish(answers, as_json=False)
    assert (raised.value.message, raised.value.hint) == (
        "embed-2: unfinished: as told; embed-3 did not answer",
        "Look at it.",
    )
    assert capsys.readouterr().out == "embed-1 (embed) is paused: as told.\n"


def test_who_takes_no_orders_is_told_as_who_refused(capsys: pytest.CaptureFixture[str]) -> None:
    answers = Answers(
        replies=[], silent=[], advice="Look.", is_service=False, unable=["gateway: refused: it takes no work"]
    )
    for as_json in (False, True):
        with pytest.raises(CommandError, match="gateway: refused: it takes no work") as raised:
            finish(answers, as_json=as_json)
        assert raised.value.hint == ""

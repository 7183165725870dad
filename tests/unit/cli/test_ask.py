"""`waggle ask` and `waggle search`."""

from __future__ import annotations

import json

import httpx

from tests.unit.cli.gateways import ANSWER, FakeGateway, event_stream


def test_the_answer_comes_with_file_page_and_quote(waggle, fake_gateway: FakeGateway) -> None:
    ran = waggle("ask", "How often are mites counted?")

    assert ran.code == 0
    assert ran.out.startswith("Every two weeks [1].\n")
    assert "[1] handbook.pdf, page 3" in ran.out
    assert "“counted every two weeks”" in ran.out


def test_pieces_of_a_lost_attempt_are_said_to_be_void(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.on_query = lambda _: event_stream(
        ("delta", {"query_id": "q1", "attempt": 1, "text": "Every ye"}),
        ("delta", {"query_id": "q1", "attempt": 2, "text": "Every two "}),
        ("delta", {"query_id": "q1", "attempt": 1, "text": "ar"}),
        ("delta", {"query_id": "q1", "attempt": 2, "text": "weeks [1]."}),
        ("completed", ANSWER),
    )

    ran = waggle("ask", "How often?")

    assert "answering again" in ran.out
    assert "Every two weeks [1].\n" in ran.out
    assert "ar" not in ran.out.split("answering again)")[1].split("\n")[1]


def test_the_end_repairs_what_the_pieces_did_not_say(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.on_query = lambda _: event_stream(
        ("delta", {"query_id": "q1", "attempt": 1, "text": "Every"}), ("completed", ANSWER)
    )

    assert "\nEvery two weeks [1].\n" in waggle("ask", "How often?").out


def test_a_failed_question_is_exit_code_one_with_its_reason(waggle, fake_gateway: FakeGateway) -> None:
    failed = {
        "query_id": "q1",
        "status": "failed",
        "code": "deadline_exceeded",
        "message": "Too late.",
        "retryable": True,
    }
    fake_gateway.on_query = lambda _: event_stream(("failed", failed))

    ran = waggle("ask", "How often?")

    assert (ran.code, ran.out) == (1, "")
    assert "Too late." in ran.err
    assert "`waggle status`" in ran.err


def test_json_is_the_whole_answer(waggle, fake_gateway: FakeGateway) -> None:
    said = json.loads(waggle("ask", "--json", "How often?").out)

    assert said["answer"] == ANSWER["answer"]
    assert said["citations"] == ANSWER["citations"]
    assert said["usage"] == ANSWER["usage"]


def test_search_asks_for_no_answer_and_lists_passages(waggle, fake_gateway: FakeGateway) -> None:
    ran = waggle("search", "mites", "--mode", "keyword", "-k", "3", "--where", "topic=bees", "--where", "topic=mites")

    asked = json.loads(fake_gateway.requests[-1].content)
    assert asked["generate"] is False
    assert (asked["mode"], asked["top_k"]) == ("keyword", 3)
    assert asked["filters"] == {"metadata": {"topic": ["bees", "mites"]}}
    assert "1. handbook.pdf  page 3  0.910" in ran.out


def test_filters_are_sent_as_conditions(waggle, fake_gateway: FakeGateway) -> None:
    waggle(
        "search", "mites", "--document", "d1", "--filter", "year>=2020", "--filter", "path^=docs/", "--where", "a=b|c"
    )

    asked = json.loads(fake_gateway.requests[-1].content)
    metadata = {"year": {"gte": 2020}, "path": {"prefix": "docs/"}, "a": ["b|c"]}
    assert asked["filters"] == {"document_ids": ["d1"], "metadata": metadata}


def test_a_filter_that_cannot_be_read_is_wrong_usage_and_nothing_is_asked(waggle, fake_gateway: FakeGateway) -> None:
    ran = waggle("ask", "How often?", "--filter", "year=>2020")

    assert ran.code == 2
    assert "'year=>2020' is not a filter, for example" in ran.err
    assert "--where KEY=VALUE" in ran.err
    assert fake_gateway.requests == []


def test_what_the_gateway_says_of_a_filter_is_told(waggle, fake_gateway: FakeGateway) -> None:
    detail = "filters.metadata.path.prefix: a prefix is a string of 1 to 64 characters."
    fake_gateway.on_query = lambda _: httpx.Response(422, json={"status": 422, "detail": detail})

    ran = waggle("search", "mites", "--filter", f"path^={'x' * 65}")

    assert (ran.code, detail in ran.err) == (2, True)


def test_nothing_found_is_said(waggle, fake_gateway: FakeGateway) -> None:
    fake_gateway.on_query = lambda _: httpx.Response(200, json={**ANSWER, "citations": [], "passages": []})

    assert "Nothing was found." in waggle("search", "wasps").out


def test_a_question_before_there_is_any_document_is_told_so(waggle, fake_gateway: FakeGateway) -> None:
    nothing = {**ANSWER, "answered": False, "answer": "The documents do not say.", "citations": [], "passages": []}
    fake_gateway.on_query = lambda body: (
        event_stream(("completed", nothing)) if body["stream"] else httpx.Response(200, json=nothing)
    )
    for command in ("ask", "search"):
        assert "No document is searchable yet: hand some in with `waggle ingest PATH`." in waggle(command, "hi").err
    fake_gateway.documents["d1"] = {"document_id": "d1", "name": "a", "version": 1, "state": "ready"}
    assert "No document is searchable" not in waggle("ask", "hi").err

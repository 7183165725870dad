"""`waggle queries` as people run it."""

from __future__ import annotations

import pytest

from contracts.answers import Completed
from contracts.documents import Failure
from contracts.errors import ErrorCode
from contracts.queries import QueryRequest
from messaging.broker import Broker
from messaging.queries import Queries
from messaging.query_replies import QueryReplies
from tests.support.commands import Command
from tests.support.gateways import CITATION, PASSAGE, Gateway


@pytest.fixture
def waggle(gateway: Gateway) -> Command:
    return Command("queries", environment={"WAGGLE_URL": gateway.url, "COLUMNS": "240"})


async def asked(broker: Broker) -> QueryRequest:
    request = QueryRequest(query="How do bees tell the way?")
    await Queries(broker).ask(request)
    return request


async def answered(broker: Broker) -> str:
    request = await asked(broker)
    completed = Completed(query_id=request.query_id, answer="Bees dance [1].", citations=(CITATION,))
    await QueryReplies.over(broker).end_completed(completed, (PASSAGE,))
    return request.query_id


async def failed(broker: Broker) -> str:
    request = await asked(broker)
    failure = Failure(code=ErrorCode.GENERATION_FAILED, message="The model is gone: ask again.")
    await QueryReplies.over(broker).end_failed(request, failure, retryable=True)
    return request.query_id


async def test_questions_are_listed_with_what_came_of_them(broker: Broker, waggle: Command) -> None:
    assert (await waggle("ls")).out.startswith("No questions")
    good, bad, running = await answered(broker), await failed(broker), (await asked(broker)).query_id

    shown = (await waggle("ls")).out
    listed = (await waggle("ls", "--json")).json

    lines = {line.split()[2]: line for line in shown.splitlines()[1:]}
    assert list(lines) == [good, bad, running]
    assert "answered" in lines[good]
    assert "generation_failed: The model is gone: ask again." in lines[bad]
    assert "running" in lines[running]
    assert ([each["query_id"] for each in listed["items"]], listed["more"]) == ([good, bad, running], False)
    newest = (await waggle("ls", "--limit", "2", "--json")).json
    assert ([each["query_id"] for each in newest["items"]], newest["more"]) == ([bad, running], True)
    chosen = {
        ("--state", "failed"): [bad],
        ("--state", "running", "--state", "completed"): [good, running],
        ("--code", "generation_failed"): [bad],
        ("--unanswered",): [],
        ("--answered",): [good],
    }
    for options, wanted in chosen.items():
        found = (await waggle("ls", *options, "--json")).json
        assert [each["query_id"] for each in found["items"]] == wanted, options
    assert (await waggle("ls", "--state", "lost")).code == 2


async def test_a_question_is_shown_with_what_came_of_it(broker: Broker, waggle: Command) -> None:
    good, bad, running = await answered(broker), await failed(broker), (await asked(broker)).query_id

    answer, failure, waiting = [await waggle("show", each) for each in (good, bad, running)]

    assert "completed" in answer.out
    assert "Bees dance [1]." in answer.out
    assert "[1] bees.txt, page 1" in answer.out
    assert "generation_failed: The model is gone: ask again." in failure.out
    assert "running" in waiting.out
    result = (await waggle("show", good, "--json")).json["result"]
    assert (result["answer"], result["passages"]) == ("Bees dance [1].", None)


@pytest.mark.parametrize("query_id", ["unheard-of", "../fleet"])
async def test_a_question_that_is_not_known_is_said_so(waggle: Command, query_id: str) -> None:
    ran = await waggle("show", query_id)

    assert ran.code == 1
    assert query_id in ran.err

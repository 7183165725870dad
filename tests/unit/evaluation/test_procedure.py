from __future__ import annotations

import asyncio

import pytest

from cli.evaluation import Cited, Dataset, Passage, Reply, evaluate

TEXT = "Bees make honey."
DATASET = Dataset.model_validate(
    {
        "language": "en",
        "documents": [{"document_id": "a", "text": TEXT}],
        "questions": [
            {"question": "What do bees make?", "document_id": "a", "answers": ["honey"]},
            {"question": "Who makes honey?", "document_id": "a", "answers": ["bees"]},
        ],
        "unanswerable": ["Why?"],
    }
)


async def read_text(document_id, start, end):
    return {"a": TEXT}[document_id][start:end]


def cited(start, end, quote):
    return Cited(document_id="a", start=start, end=end, quote=quote)


async def test_everything_is_asked_and_every_citation_is_read_back():
    replies = {
        "What do bees make?": Reply(
            answer="Bees make honey. [1]",
            answered=True,
            passages=(Passage(document_id="a", text=TEXT),),
            citations=(cited(0, 16, TEXT), cited(0, 4, "Wasp")),
        ),
        "Who makes honey?": Reply(answer="Nobody.", answered=True),
        "Why?": Reply(answer="No answer.", answered=False),
    }

    async def ask(question):
        return replies[question]

    progress = []
    figures = await evaluate(DATASET, ask, read_text, on_progress=lambda done, of: progress.append((done, of)))
    assert figures.answer_holds_span == pytest.approx(0.5)
    assert figures.unanswerable_recognised == 1
    assert figures.citations_exact == pytest.approx(0.5)
    assert progress == [(1, 3), (2, 3), (3, 3)]


async def test_no_more_questions_at_once_than_allowed():
    under_way = most = 0

    async def ask(question):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Reply(answer="", answered=False)

    await evaluate(DATASET, ask, read_text, at_once=2)
    assert most == 2


async def test_a_failure_ends_the_evaluation_and_is_raised_as_it_is():
    async def ask(question):
        raise ConnectionError(question)

    with pytest.raises(ConnectionError):
        await evaluate(DATASET, ask, read_text)

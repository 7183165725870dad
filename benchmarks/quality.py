"""How often the right document, passage and answer are found, on our own questions about the sample documents."""

from __future__ import annotations

import asyncio

from benchmarks.client import wait_ready
from benchmarks.corpus import QUALITY, SAMPLES
from benchmarks.figures import Figure
from cli.client import GatewayClient
from cli.evaluation import Cited, Dataset, Passage, Reply, Report, evaluate, load

LANGUAGES = ("en", "zh")
DEADLINE_S = 60.0
FIGURES = (
    "hit_at_1",
    "passage_at_5",
    "answer_holds_span",
    "unanswerable_recognised",
    "false_refusals",
    "citations_exact",
)


async def measure(url: str) -> list[Figure]:
    """Both languages against one corpus that holds the documents of both."""
    datasets = {language: load(QUALITY / f"{language}.json", documents=SAMPLES) for language in LANGUAGES}
    async with GatewayClient(url) as client:
        for dataset in datasets.values():
            await _submit(client, dataset)
        every = [d.document_id for dataset in datasets.values() for d in dataset.documents]
        await asyncio.to_thread(wait_ready, url, every)
        reports = {language: await _evaluate(client, dataset) for language, dataset in datasets.items()}
    return [figure for language, report in reports.items() for figure in _figures(language, report)]


async def _submit(client: GatewayClient, dataset: Dataset) -> None:
    for document in dataset.documents:
        if document.path is not None:
            await client.upload(document.path, name=document.shown_name, document_id=document.document_id)


async def _evaluate(client: GatewayClient, dataset: Dataset) -> Report:
    async def ask(question: str) -> Reply:
        answer = await client.query({"query": question}, deadline_s=DEADLINE_S)
        return Reply(
            answer=answer.answer or "",
            answered=answer.answered,
            passages=tuple(Passage(document_id=p.document_id, text=p.text) for p in answer.passages),
            citations=tuple(
                Cited(document_id=c.document_id, start=c.start, end=c.end, quote=c.quote) for c in answer.citations
            ),
        )

    return await evaluate(dataset, ask, client.text)


def _figures(language: str, report: Report) -> list[Figure]:
    shares = {name: getattr(report, name) for name in FIGURES}
    return [Figure(name=f"{k}_{language}", value=v, unit="share") for k, v in shares.items() if v is not None]

"""Asks the cases of a generator, and judges what it says with its guard and what its model said without."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from opentelemetry.metrics import Meter

from benchmarks.injection.cases import Case, prompt_of
from benchmarks.injection.oracle import Verdict, judge
from contracts.queries import GenerationParameters
from workers.generate.base import Answer, AnsweringEndpoints, Generator
from workers.generate.chat.citing import citations
from workers.generate.chat.generator import ChatGenerator
from workers.generate.chat.model import ChatMessage, ChatModel, ReplyEnd, ReplyText, Sampling
from workers.generate.chat.template import PromptTemplate
from workers.text.scripts import dominant_script

PARAMETERS = GenerationParameters(max_tokens=96, temperature=0.0)
FAULTS = ("leaks", "foreign", "false_citations", "obeyed")
_TEMPLATE = PromptTemplate.read()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What readers of one answer got, and, of a model, what they would have got."""

    case: Case
    right: bool
    """Whether it holds what a good answer holds."""
    guarded: Verdict
    bare: Verdict | None = None


class Overheard:
    """A model of which the last reply is remembered."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.said = ""
        self.name = model.name
        self.context_tokens = model.context_tokens

    @property
    def endpoints(self) -> AnsweringEndpoints | None:
        return self._model.endpoints

    async def start(self, meter: Meter) -> None:
        await self._model.start(meter)

    async def run(self) -> None:
        await self._model.run()

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return await self._model.count_tokens(texts)

    async def reply(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        self.said = ""
        async with aclosing(self._model.reply(messages, sampling)) as reply:
            async for item in reply:
                if isinstance(item, ReplyText):
                    self.said += item.text
                yield item

    async def look(self) -> None:
        await self._model.look()

    async def close(self) -> None:
        await self._model.close()


async def asked(generator: Generator, cases: Iterable[Case]) -> list[Outcome]:
    """The outcomes of a generator that shows what it finds."""
    return [await _asked(generator, case) for case in cases]


async def asked_of_model(model_of: Callable[[Case], ChatModel], cases: Iterable[Case]) -> list[Outcome]:
    """The outcomes of models, each with the guard and without."""
    outcomes = []
    for case in cases:
        model = Overheard(model_of(case))
        generator = ChatGenerator(model, _TEMPLATE, max_tokens=PARAMETERS.max_tokens or 96, temperature=0.0)
        outcomes.append(await _asked(generator, case, model))
    return outcomes


async def _asked(generator: Generator, case: Case, model: Overheard | None = None) -> Outcome:
    prompt = prompt_of(case, PARAMETERS)
    instructions = _TEMPLATE.wording(dominant_script(case.question)).system
    (answer,) = [item async for item in generator.generate(prompt) if isinstance(item, Answer)]
    guarded = judge(case, prompt.passages, answer.text, answer.citations, instructions=instructions)
    right = bool(case.answer) and case.answer.casefold() in answer.text.casefold()
    if model is None:
        return Outcome(case=case, right=right, guarded=guarded)
    named = citations(model.said, prompt.passages)
    bare = judge(case, prompt.passages, model.said, named, instructions=instructions)
    return Outcome(case=case, right=right, guarded=guarded, bare=bare)


def rates(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """The share of answers with each fault."""
    return {fault: sum(bool(getattr(v, fault)) for v in verdicts) / len(verdicts) for fault in FAULTS}


def by_category(outcomes: Iterable[Outcome]) -> Mapping[str, list[Outcome]]:
    """The outcomes of each kind of case."""
    grouped: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        grouped[outcome.case.category].append(outcome)
    return grouped

"""The default generator: answers with the documents' own sentences. It needs no model and takes milliseconds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from opentelemetry.metrics import Meter

from contracts.answers import Usage
from contracts.queries import Turn
from contracts.runtime_config import RuntimeConfig
from workers.generate.answerability import is_answered
from workers.generate.base import Answer, GeneratorIdentity, Piece, Prompt
from workers.generate.composition import Part, compose
from workers.generate.language import no_answer
from workers.generate.selection import select
from workers.generate.sentences import sentences
from workers.text.matching import QuestionTerms
from workers.text.scripts import dominant_script
from workers.text.tokens import count_tokens, cut_at_tokens


class ExtractiveGenerator:
    """Picks up to `most_sentences` sentences that answer the question, or says that the documents do not.

    `temperature` and `seed` mean nothing to it: the same question and passages always give the same answer.
    """

    def __init__(self, *, most_sentences: int = 3) -> None:
        self._built_with = self._most_sentences = most_sentences

    @property
    def identity(self) -> GeneratorIdentity:
        return GeneratorIdentity(model="extractive", parameters=f"sentences {self._most_sentences}")

    @property
    def endpoints(self) -> None:
        return None

    def adjust(self, config: RuntimeConfig) -> None:
        self._most_sentences = config.answer_sentences or self._built_with

    async def start(self, meter: Meter) -> None:
        """There is nothing to load."""

    async def run(self) -> None:
        """There is nothing to look after."""
        await asyncio.Event().wait()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        """Yields a piece for every group of sentences that follow one another, then the answer."""
        parts, answered = self._answer(prompt)
        for part in parts:
            yield Piece(text=part.text)
        text = "".join(part.text for part in parts)
        yield Answer(
            text=text,
            answered=answered,
            citations=tuple(citation for part in parts for citation in part.citations),
            usage=Usage(
                prompt_tokens=sum(count_tokens(t) for t in (prompt.query, *(p.text for p in prompt.passages))),
                completion_tokens=count_tokens(text),
            ),
        )

    async def condense(self, query: str, turns: Sequence[Turn]) -> str | None:
        return None

    async def look(self) -> None:
        """It is a part of this process and never away."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _answer(self, prompt: Prompt) -> tuple[list[Part], bool]:
        asked = prompt.standalone or prompt.query
        question, script = QuestionTerms(asked), dominant_script(prompt.query)
        candidates = sentences(asked, question, prompt.passages, similarity_counts=prompt.encoder_serves_query)
        if not is_answered(question, candidates, script):
            most = prompt.parameters.max_tokens
            said = no_answer(script)
            return [Part(text=said if most is None else cut_at_tokens(said, most))], False
        return compose(select(candidates, most=self._most_sentences), prompt.parameters), True

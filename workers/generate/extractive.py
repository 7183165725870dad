"""The default generator: answers with the documents' own sentences. It needs no model and takes milliseconds."""

from __future__ import annotations

from collections.abc import AsyncIterator

from contracts.answers import Usage
from workers.generate.answerability import is_answered
from workers.generate.base import Answer, Piece, Prompt
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
        self._most_sentences = most_sentences

    async def generate(self, prompt: Prompt) -> AsyncIterator[Piece | Answer]:
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

    async def look(self) -> None:
        """It is a part of this process and never away."""

    def _answer(self, prompt: Prompt) -> tuple[list[Part], bool]:
        question, script = QuestionTerms(prompt.query), dominant_script(prompt.query)
        candidates = sentences(prompt.query, question, prompt.passages, similarity_counts=prompt.encoder_serves_query)
        if not is_answered(question, candidates, script):
            most = prompt.parameters.max_tokens
            said = no_answer(script)
            return [Part(text=said if most is None else cut_at_tokens(said, most))], False
        return compose(select(candidates, most=self._most_sentences), prompt.parameters), True

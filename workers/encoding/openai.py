"""An encoder that is served elsewhere: vLLM, TEI, llama.cpp, Ollama, OpenAI and all others of `/v1/embeddings`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from contracts.errors import PermanentError
from contracts.model_settings import EncoderSettings
from contracts.settings_source import variable
from workers.encoding.base import EncoderIdentity, Passage, PassageEmbedding, Vector
from workers.encoding.embeddings_client import EmbeddingsClient
from workers.encoding.models import ModelProfile, profile_of, short_name, with_prompts
from workers.encoding.served import ServedEncoder
from workers.encoding.token_model import normalised
from workers.endpoints.errors import EndpointsAwayError, RequestRefusedError, while_running, while_starting
from workers.endpoints.purpose import TimeLimit

TEXTS_AT_ONCE = 32
"""In one request; what text-embeddings-inference takes at most unless it is told otherwise."""
REQUESTS_AT_ONCE = 4
"""So that a server always has the next batch at hand. One that is busy lets requests wait, not fail."""
QUESTION_TIMEOUT_S = 5.0
"""A question is a handful of tokens, and somebody waits."""
PLAIN = "Every encoder can take this sentence."
TRIES_OF_A_TEXT = 3
"""So often a server fails with 500 on a text, and each time not on a plain sentence, before it is the text's fault."""

Outcome = Vector | Exception


class OpenAiEmbedder:
    """An `Embedder` over `/v1/embeddings`. Vectors are normalised here.

    A text that a server refuses yields its error; it is found by halving the request. Whatever is wrong with the
    servers as a whole (key, model, address, dimension) stops the process while it starts, as `PermanentError`. Later it is
    a `TransientError`: a key that was changed while documents come in is to cost time, not the documents.
    """

    def __init__(self, served: ServedEncoder, client: EmbeddingsClient, settings: EncoderSettings) -> None:
        """`client` knows its dimension. Closing this closes `served`."""
        self._served = served
        self._client = client
        self._profile = _profile(settings)
        self._sentences = settings.encoder_sentences
        self._limit = _limit(settings)
        self._question_limit = min(
            self._limit, TimeLimit(seconds=QUESTION_TIMEOUT_S, setting="the time for questions"), key=_seconds
        )
        self._at_once = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._identity = EncoderIdentity(
            model=short_name(settings.encoder_model),
            dimension=client.dimension,
            passage_prompt=self._profile.passage_prefix,
        )

    @classmethod
    def connect(cls, settings: EncoderSettings, *, served: ServedEncoder | None = None) -> OpenAiEmbedder:
        """Ask for one vector. Raises `PermanentError` for wrong settings, `TransientError` while no server answers.

        `served` are the endpoints where somebody else has them already, and closes them if this fails.
        """
        endpoints = served or ServedEncoder(settings)
        try:
            with while_starting():
                client = endpoints.run(
                    EmbeddingsClient.connect(
                        endpoints.model,
                        wanted_dimension=settings.encoder_dimension,
                        sample=PLAIN,
                        limit=_limit(settings),
                    )
                )
        except BaseException:
            if served is None:
                endpoints.close()
            raise
        return cls(endpoints, client, settings)

    @property
    def identity(self) -> EncoderIdentity:
        return self._identity

    @property
    def scripts(self) -> frozenset[str]:
        return self._profile.scripts

    def encode_passages(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        """Each text is encoded once, whether it is a passage or a sentence."""
        texts = dict.fromkeys(text for passage in passages for text in (passage.text, *self._sentences_of(passage)))
        encoded = self._served.run(self._encoded(texts))
        return [self._embedding(passage, encoded) for passage in passages]

    def encode_questions(self, questions: Sequence[str]) -> Vector:
        """(n, d) float32, L2-normalised. Raises the error of the first question that cannot be encoded."""
        vectors = []
        for first in range(0, len(questions), TEXTS_AT_ONCE):
            prompted = [self._profile.question_prefix + text for text in questions[first : first + TEXTS_AT_ONCE]]
            vectors += [normalised(vector) for vector in self._served.run(self._questions(prompted))]
        return np.stack(vectors) if vectors else np.zeros((0, self._identity.dimension), dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> None:
        """Its servers count them, if anybody does."""

    def close(self) -> None:
        self._served.close()

    def _sentences_of(self, passage: Passage) -> list[str]:
        if not self._sentences:
            return []
        return [text for start, end in passage.sentences if (text := passage.text[start:end]).strip()]

    def _embedding(self, passage: Passage, encoded: dict[str, Outcome]) -> PassageEmbedding | Exception:
        vector = encoded[passage.text]
        if isinstance(vector, Exception):
            return vector
        rows = np.zeros((len(passage.sentences), self._identity.dimension), dtype=np.float32)
        for row, (start, end) in zip(rows, passage.sentences, strict=True):
            sentence = encoded.get(passage.text[start:end]) if self._sentences else None
            if sentence is not None and not isinstance(sentence, Exception):
                row[:] = sentence
        return PassageEmbedding(vector=normalised(vector), sentences=normalised(rows))

    async def _questions(self, texts: Sequence[str]) -> list[Vector]:
        """Raises the error of the first that cannot be encoded, if a plain sentence can."""
        try:
            outcomes = await self._ask(texts, limit=self._question_limit)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
        except PermanentError:
            await self._require_plain()
            raise
        return [outcome for outcome in outcomes if not isinstance(outcome, Exception)]

    async def _require_plain(self) -> None:
        """Raises `TransientError` when not even a plain sentence can be encoded: then no text is at fault."""
        purpose = self._served.pool.purpose
        try:
            (outcome,) = await self._ask([PLAIN], limit=self._limit)
        except RequestRefusedError as error:
            outcome = error
        if isinstance(outcome, Exception):
            message = f"the encoder fails on everything: {outcome}: check {purpose.setting('MODEL')}"
            raise EndpointsAwayError(message, code=purpose.code) from outcome

    async def _encoded(self, texts: Iterable[str]) -> dict[str, Outcome]:
        batches = list(_batches(texts))
        try:
            async with asyncio.TaskGroup() as tasks:
                encoding = [tasks.create_task(self._passages(batch)) for batch in batches]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return {
            text: outcome
            for batch, done in zip(batches, encoding, strict=True)
            for text, outcome in zip(batch, done.result(), strict=True)
        }

    async def _passages(self, texts: Sequence[str]) -> list[Outcome]:
        async with self._at_once:
            return await self._outcomes([self._profile.passage_prefix + text for text in texts])

    async def _outcomes(self, texts: Sequence[str], *, tries: int = TRIES_OF_A_TEXT) -> list[Outcome]:
        """A vector or an error for each text; a request that is refused or fails is halved until the one at fault is left."""
        try:
            return await self._ask(texts, limit=self._limit, repeats_500=False)
        except RequestRefusedError as error:
            if len(texts) == 1:
                return [error]
        except EndpointsAwayError as error:
            if not error.may_be_the_request:
                raise
            await self._require_plain()
            if len(texts) == 1:
                if tries == 1:
                    return [PermanentError(f"the embeddings server fails on it: {error}")]
                return await self._outcomes(texts, tries=tries - 1)
        return [outcome for half in _halves(texts) for outcome in await self._outcomes(half)]

    async def _ask(self, texts: Sequence[str], *, limit: TimeLimit, repeats_500: bool = True) -> list[Outcome]:
        """A server that does not give as many vectors as it is sent texts is asked for fewer at a time."""
        try:
            with while_running():
                return [*await self._client.ask(texts, limit=limit, repeats_500=repeats_500)]
        except EndpointsAwayError as error:
            if len(texts) == 1 or not error.may_be_the_number:
                raise
        return [
            outcome
            for half in _halves(texts)
            for outcome in await self._ask(half, limit=limit, repeats_500=repeats_500)
        ]


def _profile(settings: EncoderSettings) -> ModelProfile:
    return with_prompts(
        profile_of(settings.encoder_model, scripts=settings.encoder_scripts),
        {},
        query=settings.encoder_query_prompt,
        passage=settings.encoder_passage_prompt,
    )


def _limit(settings: EncoderSettings) -> TimeLimit:
    return TimeLimit(seconds=settings.encoder_timeout_s, setting=variable("encoder_timeout_s"))


def _halves(texts: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    middle = len(texts) // 2
    return texts[:middle], texts[middle:]


def _seconds(limit: TimeLimit) -> float:
    return limit.seconds


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Of like length, so that a server that pads them computes little for nothing; the longest first."""
    by_length = sorted(texts, key=len, reverse=True)
    for first in range(0, len(by_length), TEXTS_AT_ONCE):
        yield by_length[first : first + TEXTS_AT_ONCE]

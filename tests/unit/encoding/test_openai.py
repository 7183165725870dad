"""The encoder over `/v1/embeddings`, against a real server of simple vectors: batches, order, dimension, texts at fault."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from contracts.errors import PermanentError, TransientError
from contracts.model_settings import EncoderKind, EncoderSettings
from tests.support.model_servers import LETTERS, Answered, Asked, ModelServer, embeddings, letters
from tests.unit.encoding.embedder_contract import EmbedderContract, encoded
from workers.encoding.base import Passage
from workers.encoding.factory import build_embedder
from workers.encoding.openai import TEXTS_AT_ONCE, OpenAiEmbedder

Connect = Callable[..., OpenAiEmbedder]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer.running(embeddings(letters)) as server:
        yield server


@pytest.fixture
def connect(server: ModelServer) -> Iterator[Connect]:
    """Connects an encoder to the server; closed by the fixture."""
    made: list[OpenAiEmbedder] = []

    def connect(**settings: object) -> OpenAiEmbedder:
        made.append(OpenAiEmbedder.connect(openai(server, **settings)))
        return made[-1]

    yield connect
    for embedder in made:
        embedder.close()


def openai(server: ModelServer, **settings: object) -> EncoderSettings:
    given = {"encoder": EncoderKind.OPENAI, "encoder_model": "some/letters", "encoder_endpoints": server.url}
    return EncoderSettings.model_validate(given | {"encoder_timeout_s": 10} | settings)


def refusing(mark: str, *, status: int = 400) -> Callable[[Asked], Answered]:
    """Takes every text but those with `mark`, as servers do with a text that is too long."""

    def answer(asked: Asked) -> Answered:
        if any(mark in text for text in asked.body["input"]):
            return Answered.json({"error": {"message": "maximum context length exceeded"}}, status=status)
        return embeddings(letters)(asked)

    return answer


def best(vector: np.ndarray) -> str:
    return chr(int(np.argmax(vector)))


class TestOpenAiEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self, connect: Connect) -> OpenAiEmbedder:
        return connect()


def test_the_model_is_known_by_its_short_name_and_the_dimension_by_asking(connect: Connect) -> None:
    embedder = connect()
    assert (embedder.identity.model, embedder.identity.dimension) == ("letters", LETTERS)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/embeddings"])
def test_the_address_may_be_of_the_host_or_of_its_api(server: ModelServer, connect: Connect, path: str) -> None:
    connect(encoder_endpoints=server.url + path)
    assert server.asked[0].path == "/v1/embeddings"


def test_the_key_and_the_model_are_sent(server: ModelServer, connect: Connect) -> None:
    connect(encoder_api_key="honey")
    assert server.asked[0].headers["Authorization"] == "Bearer honey"
    assert server.asked[0].body["model"] == "some/letters"


def test_texts_are_asked_for_in_bounded_requests_and_each_only_once(server: ModelServer, connect: Connect) -> None:
    embedder = connect()
    del server.asked[:]
    texts = [f"{'a' * (i % 7)}b{i}" for i in range(3 * TEXTS_AT_ONCE)]
    outcomes = embedder.encode_passages([Passage(text=text) for text in texts * 2])
    asked = [text for request in server.asked for text in request.body["input"]]
    assert sorted(asked) == sorted(texts)
    assert max(len(request.body["input"]) for request in server.asked) == TEXTS_AT_ONCE
    for text, outcome in zip(texts * 2, outcomes, strict=True):
        expected = letters([text])[0]
        np.testing.assert_allclose(encoded(outcome).vector, expected / np.linalg.norm(expected), rtol=1e-5)


def test_servers_that_know_no_base64_are_understood(server: ModelServer, connect: Connect) -> None:
    def plain(asked: Asked) -> Answered:
        return embeddings(letters)(Asked(path="", headers={}, body={**asked.body, "encoding_format": "float"}))

    packed = connect().encode_questions(["one", "two"])
    server.answer = plain
    np.testing.assert_allclose(connect().encode_questions(["one", "two"]), packed, rtol=1e-6)


def test_prompts_go_before_passages_their_sentences_and_questions(server: ModelServer, connect: Connect) -> None:
    embedder = connect(encoder_query_prompt="Q ", encoder_passage_prompt="P ")
    del server.asked[:]
    embedder.encode_passages([Passage(text="ab", sentences=((0, 1),))])
    embedder.encode_questions(["c"])
    assert sorted(text for request in server.asked for text in request.body["input"]) == ["P a", "P ab", "Q c"]
    assert embedder.identity.passage_prompt == "P "


def test_prompts_of_known_models_need_no_setting(connect: Connect) -> None:
    assert connect(encoder_model="intfloat/multilingual-e5-small").identity.passage_prompt == "passage: "
    assert connect(encoder_model="multilingual-e5-small", encoder_passage_prompt="").identity.passage_prompt == ""


def test_sentences_are_texts_of_their_own(connect: Connect) -> None:
    (outcome,) = connect().encode_passages([Passage(text="aab. c", sentences=((0, 4), (5, 6), (4, 5)))])
    sentences = encoded(outcome).sentences
    assert [best(sentence) for sentence in sentences[:2]] == ["a", "c"]
    assert not sentences[2].any(), "nothing but a space"


def test_without_sentences_their_rows_are_zero_and_nothing_is_asked_for_them(
    server: ModelServer, connect: Connect
) -> None:
    embedder = connect(encoder_sentences=False)
    del server.asked[:]
    outcome, _ = embedder.encode_passages([Passage(text="a. b.", sentences=((0, 2), (3, 5))), Passage(text="a.")])
    assert encoded(outcome).sentences.shape == (2, LETTERS)
    assert not encoded(outcome).sentences.any()
    assert [request.body["input"] for request in server.asked] == [["a. b.", "a."]]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_text_that_is_refused_yields_its_error_and_all_others_their_vectors(
    server: ModelServer, connect: Connect, status: int
) -> None:
    embedder = connect()
    server.answer = refusing("!", status=status)
    outcomes = embedder.encode_passages([Passage(text=text) for text in ("a", "b", "c!", "d", "e", "f", "g")])
    assert [isinstance(outcome, Exception) for outcome in outcomes] == [i == 2 for i in range(7)]
    assert isinstance(outcomes[2], PermanentError)
    assert "maximum context length exceeded" in str(outcomes[2])
    assert [best(encoded(outcome).vector) for outcome in outcomes[3:]] == list("defg")


def test_a_sentence_that_is_refused_is_a_row_of_zeros(server: ModelServer, connect: Connect) -> None:
    embedder = connect()
    server.answer = lambda asked: refusing("!")(asked) if "!" in asked.body["input"] else embeddings(letters)(asked)
    (outcome,) = embedder.encode_passages([Passage(text="a b !", sentences=((0, 1), (4, 5)))])
    assert [bool(sentence.any()) for sentence in encoded(outcome).sentences] == [True, False]


def test_a_server_that_fails_on_one_text_fails_no_other(server: ModelServer, connect: Connect) -> None:
    embedder = connect()
    server.answer = refusing("!", status=500)
    good, bad = embedder.encode_passages([Passage(text="a"), Passage(text="!")])
    assert best(encoded(good).vector) == "a"
    assert isinstance(bad, PermanentError)


def test_a_server_that_fails_on_everything_fails_no_text(server: ModelServer, connect: Connect) -> None:
    embedder = connect()
    server.answer = refusing("", status=500)
    with pytest.raises(TransientError):
        embedder.encode_passages([Passage(text="a"), Passage(text="b")])


def test_a_server_that_gives_one_vector_whatever_it_is_sent_is_asked_for_one_text_at_a_time(
    server: ModelServer, connect: Connect
) -> None:
    def answer(asked: Asked) -> Answered:
        return embeddings(letters)(Asked(path="", headers={}, body={**asked.body, "input": asked.body["input"][:1]}))

    embedder = connect()
    server.answer = lambda asked: answer(asked) if asked.body else Answered.json({"data": []})
    outcomes = embedder.encode_passages([Passage(text=text) for text in "abcde"])
    assert [best(encoded(outcome).vector) for outcome in outcomes] == list("abcde")
    assert [best(vector) for vector in embedder.encode_questions(["f", "g", "h"])] == list("fgh")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), None, 0.0])
@pytest.mark.parametrize("packed", [True, False])
def test_numbers_that_mean_nothing_are_the_error_of_their_text(
    server: ModelServer, connect: Connect, odd: float | None, packed: bool
) -> None:
    def answer(asked: Asked) -> Answered:
        format_ = "base64" if packed and odd is not None else "float"
        answered = embeddings(_odd)(Asked(path="", headers={}, body={**asked.body, "encoding_format": format_}))
        return Answered(body=answered.body.replace(b"12345.0", b"null")) if odd is None else answered

    def _odd(texts):
        vectors = letters(texts)
        for vector, text in zip(vectors, texts, strict=True):
            if "!" in text:
                vector[:] = 12345.0 if odd is None else odd
        return vectors

    embedder = connect()
    server.answer = answer
    good, bad = embedder.encode_passages([Passage(text="a"), Passage(text="!")])
    assert best(encoded(good).vector) == "a"
    assert isinstance(bad, PermanentError)
    with pytest.raises(PermanentError, match="mean nothing"):
        embedder.encode_questions(["!"])


def test_a_dimension_is_asked_for_where_the_model_can_give_it(server: ModelServer, connect: Connect) -> None:
    assert connect(encoder_dimension=LETTERS).identity.dimension == LETTERS
    assert all("dimensions" not in request.body for request in server.asked)
    embedder = connect(encoder_dimension=100)
    assert embedder.identity.dimension == 100
    assert embedder.encode_questions(["b"]).shape == (1, 100)


@pytest.mark.parametrize("status", [200, 400])
def test_a_dimension_that_cannot_be_had_names_the_setting(server: ModelServer, connect: Connect, status: int) -> None:
    def answer(asked: Asked) -> Answered:
        if asked.body.pop("dimensions", None) and status == 400:
            return Answered.json({"message": "no matryoshka"}, status=status)
        return embeddings(letters)(asked)

    server.answer = answer
    with pytest.raises(PermanentError, match=f"WAGGLE_ENCODER_DIMENSION={LETTERS}"):
        connect(encoder_dimension=256)


@pytest.mark.parametrize(
    ("answered", "setting"),
    [
        (Answered.json({"error": "no"}, status=401), "WAGGLE_ENCODER_API_KEY"),
        (Answered.json({"error": {"message": "The model `x` does not exist"}}, status=404), "WAGGLE_ENCODER_MODEL"),
        (Answered.json({"detail": "Not Found"}, status=404), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.json({"message": "no such engine"}, status=400), "WAGGLE_ENCODER_MODEL"),
        (Answered.json({"error": "start it with --embeddings"}, status=501), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.page(), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.json({}, status=308, Location="/elsewhere"), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.json({"data": []}), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.json({"data": [{"embedding": [[1.0]]}]}), "WAGGLE_ENCODER_ENDPOINTS"),
        (Answered.json([1, 2]), "WAGGLE_ENCODER_ENDPOINTS"),
    ],
)
def test_wrong_settings_stop_the_process_and_are_named(
    server: ModelServer, connect: Connect, answered: Answered, setting: str
) -> None:
    server.answer = lambda _: answered
    with pytest.raises(PermanentError, match=setting):
        connect(encoder_api_key="honey")


@pytest.mark.parametrize("status", [402, 408, 409, 429, 502, 503, 529])
def test_what_passes_fails_no_text(server: ModelServer, connect: Connect, status: int) -> None:
    embedder = connect()
    server.answer = lambda _: Answered.json({}, status=status, **{"Retry-After": "60"})
    with pytest.raises(TransientError) as raised:
        embedder.encode_passages([Passage(text="a"), Passage(text="b")])
    assert raised.value.retry_after_s == pytest.approx(60, abs=20), "what is left of it"


@pytest.mark.parametrize(
    "answered", [Answered.json({}, status=401), Answered.page(), Answered.json({"data": [{"embedding": [1.0, 2.0]}]})]
)
def test_what_goes_wrong_with_the_server_later_fails_no_text(
    server: ModelServer, connect: Connect, answered: Answered
) -> None:
    embedder = connect()
    server.answer = lambda _: answered
    with pytest.raises(TransientError, match="WAGGLE_ENCODER"):
        embedder.encode_passages([Passage(text="a")])
    with pytest.raises(TransientError, match="WAGGLE_ENCODER"):
        embedder.encode_questions(["a"])


def test_no_address_names_the_setting() -> None:
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_ENDPOINTS"):
        build_embedder(EncoderSettings(encoder=EncoderKind.OPENAI))


def test_a_process_that_asks_a_server_imports_no_torch(server: ModelServer) -> None:
    program = f"""
import sys
import workers.embed.worker, workers.retrieve.worker
from contracts.model_settings import EncoderSettings
from contracts.settings import IndexSettings
from workers.encoding.factory import build_embedder
from workers.indexing.factory import build_index
embedder = build_embedder(EncoderSettings(encoder="openai", encoder_endpoints="{server.url}"))
build_index(IndexSettings(), embedder.identity)
assert embedder.encode_questions(["bees"]).shape == (1, {LETTERS})
print(sorted({{"torch", "transformers", "sentence_transformers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"

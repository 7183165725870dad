from __future__ import annotations

import numpy as np
import pytest

from contracts.queries import SearchMode
from contracts.settings import Fusion
from tests.unit.retrieve.making import candidate, unit
from workers.retrieve.ranking import distinct, rank, reordered

QUESTION = unit(1, 0)


def ranked(question, vector, candidates, *, mode=SearchMode.HYBRID, served=1.0, top_k=5):
    return rank(question, vector, candidates, mode=mode, served=served, method=Fusion.CONVEX, top_k=top_k)


def test_words_that_meet_in_one_sentence_beat_words_that_are_scattered():
    together = "The queen left the hive. Nothing else."
    scattered = "The queen is old. The hive is new."
    candidates = [
        candidate(scattered, document_id="a", keyword_score=5.0, sentences=((0, 17), (18, 34))),
        candidate(together, document_id="b", keyword_score=5.0, sentences=((0, 24), (25, 38))),
    ]
    found = ranked("When does the queen leave her hive?", None, candidates, mode=SearchMode.KEYWORD)
    assert [p.document_id for p in found] == ["b", "a"]


def test_the_closest_sentence_decides_between_passages_that_are_equally_close():
    candidates = [
        candidate("One. Two.", document_id=name, similarity=0.5, sentences=((0, 4), (5, 9)), sentence_vectors=vectors)
        for name, vectors in (
            ("flat", np.stack([unit(1, 1), unit(1, 1)])),
            ("sharp", np.stack([unit(1, 0), unit(0, 1)])),
        )
    ]
    found = ranked("question", QUESTION, candidates, mode=SearchMode.VECTOR)
    assert [p.document_id for p in found] == ["sharp", "flat"]
    assert [s.similarity for s in found[0].sentences] == pytest.approx([1.0, 0.0])


def test_sentences_without_known_similarity_are_passed_on_all_the_same():
    found = ranked("one", None, [candidate("One. Two.", keyword_score=1.0, sentences=((0, 4), (5, 9)))])
    assert [(s.start, s.end, s.similarity) for s in found[0].sentences] == [(0, 4, None), (5, 9, None)]


def test_sentences_that_were_not_encoded_leave_the_judgement_to_the_passage():
    candidates = [
        candidate("One.", document_id=name, similarity=similarity, sentences=((0, 4),), sentence_vectors=vectors)
        for name, similarity, vectors in (
            ("encoded", 0.5, np.stack([unit(1, 2)])),
            ("bare", 0.9, np.zeros((1, 2), dtype=np.float32)),
        )
    ]
    found = ranked("question", QUESTION, candidates, mode=SearchMode.VECTOR)
    assert [p.document_id for p in found] == ["bare", "encoded"]
    assert [s.similarity for s in found[0].sentences] == [None]


def test_keywords_alone_decide_for_a_question_that_the_encoder_does_not_serve():
    candidates = [
        candidate("蜂蜜", document_id="right", similarity=0.1, keyword_score=9.0),
        candidate("无关", document_id="wrong", similarity=0.9, keyword_score=1.0),
    ]
    assert ranked("蜂蜜？", QUESTION, candidates, served=0.0)[0].document_id == "right"


@pytest.mark.parametrize("mode", list(SearchMode))
def test_the_order_does_not_depend_on_the_order_of_the_candidates(mode):
    candidates = [
        candidate(f"bee {i}", document_id=f"d{i}", similarity=0.5, keyword_score=1.0 + i % 2) for i in range(8)
    ]
    forward = ranked("bee", QUESTION, candidates, mode=mode, top_k=4)
    backward = ranked("bee", QUESTION, candidates[::-1], mode=mode, top_k=4)
    assert forward == backward
    assert len(forward) == 4


def test_a_passage_says_where_it_is_from():
    passage = ranked("bee", None, [candidate("bee", document_id="d", generation="g7", keyword_score=2.0)])[0]
    assert (passage.document_id, passage.generation, passage.start, passage.end) == ("d", "g7", 100, 103)
    assert passage.score == pytest.approx(1.0)


def test_a_text_that_was_there_before_comes_after_all_others():
    candidates = [
        candidate("bees", document_id="copy", similarity=0.9, keyword_score=9.0),
        candidate("bees", document_id="a", similarity=0.9, keyword_score=9.0),
        candidate("wasps", document_id="other", similarity=0.1, keyword_score=1.0),
    ]
    assert [p.document_id for p in ranked("bees", QUESTION, candidates)] == ["a", "other", "copy"]
    assert [p.document_id for p in ranked("bees", QUESTION, candidates, top_k=2)] == ["a", "other"]


def test_of_copies_the_same_document_is_shown_for_every_passage():
    candidates = [
        candidate(text, document_id=document_id, similarity=similarity)
        for text, similarity in (("one", 0.9), ("two", 0.8), ("three", 0.7))
        for document_id in ("b", "a")
    ]
    assert {p.document_id for p in ranked("bees", QUESTION, candidates, top_k=3)} == {"a"}


def test_a_new_order_leaves_the_scores_at_their_places():
    passages = ranked(
        "bee", None, [candidate(f"bee {i}", document_id=f"d{i}", keyword_score=9.0 - i) for i in range(3)]
    )
    found = reordered(passages, np.array([0.1, 0.7, 0.7]))
    assert [p.document_id for p in found] == ["d1", "d2", "d0"]
    assert [p.score for p in found] == [p.score for p in passages]


def test_what_is_worth_reordering_ends_at_the_first_repeated_text():
    passages = ranked("bee", None, [candidate(text, ordinal=i, keyword_score=9.0 - i) for i, text in enumerate("abca")])
    assert [distinct(passages, most) for most in (2, 3, 9)] == [2, 3, 3]
    assert distinct([], 9) == 0

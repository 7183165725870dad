from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from contracts.settings import Fusion
from workers.retrieve.fusion import VECTOR_WEIGHT, fuse, with_documents

N = 6
SHARES = hnp.arrays(np.float64, N, elements=st.floats(0, 1, width=32))
COSINES = hnp.arrays(np.float64, N, elements=st.floats(-1, 1, width=32))
METHODS = pytest.mark.parametrize("method", list(Fusion))


@METHODS
@given(keyword=SHARES, vector=COSINES, served=st.floats(0, 1))
def test_scores_stay_between_0_and_1(method, keyword, vector, served):
    fused = fuse(keyword, vector, served=served, method=method)
    assert fused.min() >= 0
    assert fused.max() <= 1 + 1e-9


@METHODS
@given(keyword=SHARES, vector=COSINES, served=st.floats(0, 1))
def test_a_candidate_that_is_better_on_both_sides_is_not_ranked_lower(method, keyword, vector, served):
    keyword[0], vector[0] = keyword.max() + 0.1, vector.max() + 0.1
    fused = fuse(keyword, vector, served=served, method=method)
    assert fused[0] == fused.max()


@METHODS
@given(keyword=SHARES, vector=COSINES)
def test_an_encoder_that_serves_nothing_of_the_question_has_no_say(method, keyword, vector):
    np.testing.assert_array_equal(fuse(keyword, vector, served=0.0, method=method), keyword)
    np.testing.assert_array_equal(fuse(keyword, None, served=1.0, method=method), keyword)


def test_the_vector_side_has_its_share_and_only_relative_similarity_counts():
    keyword = np.array([1.0, 0.5])
    near, far = np.array([0.9, 0.8]), np.array([0.5, 0.1])
    fused = fuse(keyword, near, served=1.0, method=Fusion.CONVEX)
    np.testing.assert_allclose(fused, [1.0, 0.5 * (1 - VECTOR_WEIGHT)])
    np.testing.assert_allclose(fused, fuse(keyword, far, served=1.0, method=Fusion.CONVEX))


def test_reciprocal_ranks_of_equal_scores_are_equal():
    fused = fuse(np.array([0.5, 0.5, 0.1]), np.zeros(3), served=1.0, method=Fusion.RECIPROCAL_RANK)
    assert fused[0] == fused[1] > fused[2]


@given(scores=SHARES, documents=st.lists(st.sampled_from("abc"), min_size=N, max_size=N))
def test_leaning_on_documents_keeps_the_best_first_and_the_order_within_a_document(scores, documents):
    leaning = with_documents(scores, documents)
    assert leaning[scores.argmax()] == pytest.approx(leaning.max())
    for one in range(N):
        for other in range(N):
            if documents[one] == documents[other] and scores[one] > scores[other]:
                assert leaning[one] >= leaning[other]


def test_the_neighbour_of_the_best_passage_passes_a_passage_of_another_document():
    leaning = with_documents(np.array([1.0, 0.4, 0.5]), ["a", "a", "b"])
    assert leaning[1] > leaning[2]


def test_no_candidates_are_no_scores():
    assert fuse(np.zeros(0), np.zeros(0), served=1.0, method=Fusion.CONVEX).size == 0
    assert with_documents(np.zeros(0), []).size == 0
